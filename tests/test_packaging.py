"""What the package promises before any of it runs."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import phaseflow
from phaseflow import PhaseFlow
from tests.matrices import first_of_each

ROOT = Path(__file__).parents[1]
LONGEST_IMPORT_S = 0.3
_IMPORT = """
import sys, threading, time
started = time.perf_counter()
import phaseflow
spent = time.perf_counter() - started
heavy = {"numpy", "selectolax", "httpx2", "semantic_text_splitter", "starlette", "uvicorn", "rich"}
print(spent, threading.active_count(), *sorted(heavy & set(sys.modules)))
"""


def _imported() -> tuple[float, int, list[str]]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run([sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True, env=plain)
    spent, threads, *heavy = done.stdout.split()
    return float(spent), int(threads), heavy


def test_the_import_is_quick_starts_no_thread_and_loads_nothing_heavy() -> None:
    runs = [_imported() for _ in range(3)]
    assert min(spent for spent, _, _ in runs) < LONGEST_IMPORT_S
    assert {threads for _, threads, _ in runs} == {1}
    assert runs[0][2] == []


def test_the_import_leaves_the_logging_of_its_host_alone() -> None:
    code = "import logging; before = logging.root.handlers[:]; import phaseflow; assert logging.root.handlers == before"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_public_name_is_there_and_known_to_type_checkers() -> None:
    listed = set(phaseflow._HOME_OF)
    assert all(getattr(phaseflow, name) for name in listed)
    block = Path(phaseflow.__file__).read_text("utf-8").partition("if TYPE_CHECKING:")[2].partition("_HOMES")[0]
    assert set(re.findall(r"import (\w+) as \1", block)) == listed


def test_types_are_announced() -> None:
    assert resources.files("phaseflow").joinpath("py.typed").is_file()


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found = tomllib.load(file)["project"]
    assert isinstance(found, dict)
    return found


def test_the_changelog_speaks_of_this_version(project: dict[str, object]) -> None:
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_an_empty_test_run_is_no_success() -> None:
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-k",
        "no_test_has_this_name",
        "tests/test_packaging.py",
        "-p",
        "no:cov",
        "-n0",
    ]
    plain = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    assert subprocess.run(words, cwd=ROOT, capture_output=True, check=False, env=plain).returncode == 5


READING = """
import dataclasses
import gc
import importlib.metadata
import os
import sys
importlib.metadata.entry_points = None  # nobody looks through all packages that are installed
from phaseflow.__main__ import run
sys.argv = ["phaseflow", *sys.argv[1:]]
looked = []
gc.collect()
gc.callbacks.append(lambda phase, info: looked.append((phase, info)))
try:
    run()
except SystemExit as ended:
    assert not ended.code, ended.code
assert not looked, looked  # the collector: hardly anything that is made so early is garbage
ROOMS = {"actors", "supervisor", "tracker", "http", "flow.phase_flow", "components.embedders", "components.extraction"}
ROOMS |= {"components.extraction.registry", "components.sources.folder", "components.workers.pool"}
SEARCH = {"components.index", "components.resident", "domain.search_query", "flow.searching"}
SERVERS = {"components.embedders.access", "components.embedders.openai", "components.embedders.server_name"}
ROOMS |= {"cli.tables", *SERVERS} if "search" in sys.argv else SEARCH
ROOMS |= {"cli.settings_options", "components.protocols", "domain.choices", "domain.new_document", "domain.policy"}
if {"status", "kbs", "jobs"} & set(sys.argv):
    ROOMS |= {"domain.documents", "domain.webhooks", "domain.words", "flow.document_queries", "store.passages"}
made = [one for name, module in [*sys.modules.items()] if name.startswith("phaseflow.")
        for one in vars(module).values() if dataclasses.is_dataclass(one) and getattr(one, "__module__", "") == name]
assert len(made) <= (34 if "search" in sys.argv else 20), made  # each takes as long to make as five named tuples
assert os.environ["OPENBLAS_NUM_THREADS"] == "1"  # the others would spin, and nothing here is shared among them
heavy = {"numpy", "numpy.ma", "structlog", "starlette", "httpx2", "chardet", "asyncssh"}
heavy |= {"rich"} if "--json" in sys.argv else set()
print("imported:", *sorted((heavy | {f"phaseflow.{room}" for room in ROOMS}) & set(sys.modules)), file=sys.__stdout__)
"""

RUNNING = """
import sys
from phaseflow.__main__ import run
sys.argv = ["phaseflow", *sys.argv[1:]]
try:
    run()
except SystemExit as ended:
    assert not ended.code, ended.code
print("imported:", *sorted({"attr", "chardet", "rich", "structlog"} & set(sys.modules)), file=sys.__stdout__)
"""


@pytest.fixture
async def filled(tmp_path: Path, anyio_backend: str) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("A pause takes effect after the batch in hand.")
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await (await flow.start("kb", tmp_path / "docs")).wait()
    return tmp_path / "kb.db"


@pytest.mark.parametrize(
    "words",
    first_of_each(
        ["status", "documents kb", "status kb", "kbs", "jobs kb", "failures kb"], lambda words: words.endswith("s kb")
    ),
)
def test_a_command_that_reads_imports_nothing_of_what_runs_jobs(filled: Path, words: str) -> None:
    command = [sys.executable, "-c", READING, *words.split(), "--db", str(filled), "--json"]
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=env)
    told = (done.returncode, "imported:" in done.stdout.splitlines())
    assert told == (0, True), (done.stdout[-200:], done.stderr)


@pytest.mark.thorough
def test_a_job_in_the_foreground_imports_nothing_for_records_that_nobody_writes(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("A pause takes effect after the batch in hand.")
    words = ["ingest", str(tmp_path / "docs"), "--kb", "kb", "--db", str(tmp_path / "kb.db")]
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    command = [sys.executable, "-c", RUNNING, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100, env=env)
    assert done.stdout.splitlines()[-1] == "imported:"


COLLECTED = """
import gc
class Kept: pass
kept = Kept()
frozen = %d and (gc.freeze() or gc.get_freeze_count())
import phaseflow
phaseflow.PhaseFlow
young = len(gc.get_objects(generation=0)) + len(gc.get_objects(generation=1))
print(young, gc.isenabled(), (gc.get_freeze_count() > 0) == (frozen > 0))
"""


@pytest.mark.parametrize("has_frozen", first_of_each([0, 1]))
def test_the_collector_does_not_look_through_what_imports_made_in_the_middle_of_a_later_call(has_frozen: int) -> None:
    command = [sys.executable, "-c", COLLECTED % has_frozen]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    young, is_on, is_as_before = done.stdout.split()
    assert (is_on, is_as_before) == ("True", "True")
    assert has_frozen or int(young) < 10_000  # of more than 50,000


@pytest.mark.thorough
def test_a_search_imports_nothing_that_reads_documents(filled: Path) -> None:
    command = [sys.executable, "-c", READING, "search", "kb", "a pause", "--db", str(filled)]
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=env)
    assert done.returncode == 0, done.stderr
    needed = "numpy phaseflow.components.embedders"
    assert done.stdout.splitlines()[-1] == f"imported: {needed}"


JOB = """
import asyncio, gc, sys
from phaseflow import PhaseFlow
assert gc.isenabled() and gc.get_threshold()[0] < 1000
async def main():
    async with PhaseFlow(sys.argv[1]) as flow:
        await (await flow.start("kb", sys.argv[2])).wait()
asyncio.run(main())
parts = {"embedders.openai", "extraction.detection", "extraction.recognition", "extraction.pdf"}
parts |= {"sources.web.loader", "sources.git.loader"}
unwanted = {"structlog", "rich", "click", "chardet", "starlette", *(f"phaseflow.components.{part}" for part in parts)}
print(*sorted(unwanted & set(sys.modules)))
"""


def test_a_job_on_a_folder_imports_neither_what_commands_need_nor_what_reads_other_sources(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("A pause takes effect after the batch in hand.")
    command = [sys.executable, "-c", JOB, str(tmp_path / "kb.db"), str(tmp_path / "docs")]
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR"}}
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=100, env=env).stdout == "\n"
