"""Mutation: small changes to the core, one at a time; the tests near it have to notice each.

    ./tasks mutate [PATH…] [--sql] [--sample N] [--seed N] [--log FILE]

PATH is a room (``domain``) or a module (``store/jobs.py``) of ``src/phaseflow``; all rooms of the core without one.
Works on a copy, so the working tree can be used meanwhile. cosmic-ray says which mutants there are; each is tested, in
a process of its own, by those of the near tests of its room that run the line. Only tests that run by default count:
what a thorough one alone would notice survives. A mutant with which they take several times as long hangs, and so was
noticed. With ``--sql``, the mutants are those of the SQL in the strings of ``store`` instead, which Python does not
read (``sql_mutants.py`` says which there are). Exit code 1 when a mutant survives that is not in ``survivors.toml``,
which says of each known one why it may.
"""

import argparse
import ast
import importlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tests.proof.reached import OPTIONS, Reached
from tests.proof.sql_mutants import sql_mutants

ROOT = Path(__file__).parents[2]
SOURCE = Path("src/phaseflow")
SURVIVORS = Path(__file__).with_name("survivors.toml")
NEAR = {
    "domain": [
        "tests/domain", "tests/test_snapshot.py", "tests/test_running_time.py", "tests/contract/test_library.py",
        "tests/contract/test_verbs.py", "tests/engine/test_pushes.py", "tests/engine/test_search.py",
        "tests/http/test_embedder_access.py", "tests/http/test_reports.py", "tests/http/test_endpoints.py",
        "tests/engine/test_tracing.py",
    ],
    "store": [
        "tests/store", "tests/test_feed.py", "tests/engine/test_ingestion.py", "tests/engine/test_pushes.py",
        "tests/engine/test_search.py", "tests/engine/test_filtered_search.py", "tests/engine/test_upkeep.py",
        "tests/engine/test_catalogue.py", "tests/engine/test_sources.py", "tests/indexes/test_keeper.py",
        "tests/indexes/test_losses.py", "tests/engine/test_bounded_transactions.py", "tests/engine/test_read_ahead.py",
        "tests/engine/test_carried_over.py", "tests/engine/test_shared_uris.py", "tests/engine/test_clock_keeper.py",
        "tests/engine/test_owed_writes.py", "tests/engine/test_source_sync.py", "tests/engine/test_filtered_numbers.py",
        "tests/engine/test_file_modes.py", "tests/engine/test_failures_of_gone_documents.py",
        "tests/engine/test_taken_out.py", "tests/engine/test_document_details.py", "tests/engine/test_new_settings.py",
        "tests/http/test_reports.py", "tests/http/test_webhooks.py",
    ],
    "tracker": [
        "tests/test_tracker.py", "tests/test_feed.py", "tests/contract/test_phase_tracker.py",
        "tests/http/test_reports.py", "tests/engine/test_control.py", "tests/contract/test_verbs.py",
    ],
    "feed.py": ["tests/test_feed.py", "tests/http/test_stream.py"],
    "actors": [
        "tests/actors", "tests/engine/test_ingestion.py", "tests/engine/test_control.py",
        "tests/engine/test_embedding.py", "tests/engine/test_pushes.py", "tests/engine/test_sources.py",
        "tests/engine/test_loading_limits.py", "tests/proof/test_seams.py", "tests/engine/test_error_budget.py",
        "tests/engine/test_phase_totals.py", "tests/engine/test_shared_uris.py", "tests/engine/test_taken_out.py",
        "tests/engine/test_put_aside.py", "tests/engine/test_slow_sites.py", "tests/engine/test_web_jobs.py",
        "tests/engine/test_models.py", "tests/engine/test_giving_way.py", "tests/engine/test_embedding_slots.py",
        "tests/engine/test_failing_beside_others.py", "tests/engine/test_contained.py",
        "tests/engine/test_reading_window.py", "tests/engine/test_carried_over.py", "tests/indexes/test_engine.py",
        "tests/indexes/test_delivery.py", "tests/indexes/test_losses.py", "tests/indexes/test_keeper.py",
        "tests/indexes/test_faults.py",
        "tests/engine/test_bounded_transactions.py", "tests/engine/test_waits.py", "tests/engine/test_second_crawl.py",
    ],
    "supervisor": [
        "tests/engine/test_moves.py", "tests/engine/test_control.py", "tests/engine/test_upkeep.py",
        "tests/indexes/test_keeper.py", "tests/indexes/test_losses.py", "tests/proof/test_seams.py",
        "tests/engine/test_ingestion.py",
        "tests/engine/test_giving_way.py", "tests/engine/test_pushes.py", "tests/engine/test_contained.py",
        "tests/engine/test_owed_writes.py", "tests/contract/test_verbs.py", "tests/engine/test_sources.py",
        "tests/engine/test_models.py", "tests/engine/test_indexed_with.py", "tests/engine/test_new_settings.py",
    ],
}  # fmt: skip
"""The tests that have to notice a mutant of each room; those that mostly do, and soon, come first."""
_ANNOTATION = "core/ReplaceBinaryOperator_BitOr_"
"""``int | None`` in an annotation becomes one that cannot be imported."""
_IDENTITY = {
    "core/ReplaceComparisonOperator_Is_": "core/ReplaceComparisonOperator_Is_IsNot",
    "core/ReplaceComparisonOperator_IsNot_": "core/ReplaceComparisonOperator_IsNot_Is",
}
"""``x is None`` turned round says something; ``x == None`` is the same, and ``x < None`` raises wherever it runs."""
_FOR_US = "@dataclass("
"""Whether a class is frozen and has slots keeps us from mistakes; no caller can tell."""
COPIED = ("src", "tests", "schema.sql", "pyproject.toml", "docs", "README.md", "CHANGELOG.md")
_FAILED = ("FAILED ", "ERROR ")
PYTEST = (
    # Python itself warns of ``is`` beside a literal, which would pass for a test that fails.
    "-x", "-n", "0", "--dist", "no", "--tb=no", "-p", "no:cacheprovider", "-W", "ignore::SyntaxWarning",
)  # fmt: skip
"""Whatever else the project's configuration says, for only the tests that run by default keep a change out."""
SLOWER = 3
"""A mutant may take so many times as long as its tests take without one, all of them, and each until it ends; else it
hangs, and so was noticed."""
LEAST_S = 10.0
"""What it may take besides, for the machine may be busier than it was."""
_LOOK_S = 0.5
"""How often it is looked whether a test has ended."""
_DURATION = re.compile(r"^(\d+\.\d+)s (?:setup|call|teardown) +(\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one line. ``where`` is the module in ``src/phaseflow``."""

    where: str
    line: int
    before: str
    after: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """The same wherever in its module the line stands."""
        return self.where, self.before, self.after

    def __str__(self) -> str:
        return f"{self.where}:{self.line}\n  - {self.before}\n  + {self.after}"


class Durations:
    """How long tests take without a mutant, from what pytest says with ``--durations=0`` in a run of ``took_s``."""

    def __init__(self, said: str, took_s: float) -> None:
        self._of: dict[str, float] = defaultdict(float)
        for seconds, test in _DURATION.findall(said):
            self._of[test] += float(seconds)
        self._start_s = max(0.0, took_s - sum(self._of.values()))

    def most_s(self, tests: Sequence[str]) -> tuple[float, float]:
        """How long some of the tests may take with a mutant until the next one ends, and until all have; what is no
        single test stands for all of them."""
        known = all("::" in test for test in tests)
        each_s = [self._of.get(test, 0.0) for test in tests] if known else [*self._of.values()]
        return self._limit_s(max(each_s, default=0.0)), self._limit_s(sum(each_s))

    def _limit_s(self, tests_s: float) -> float:
        return SLOWER * (self._start_s + tests_s) + LEAST_S


class Laboratory:
    """A copy of the working tree in which modules are mutated and tested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / name)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PHASEFLOW_")}
        self._environment = {**environment, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}

    def noticed_by(self, tests: list[str], most_s: tuple[float, float], *options: str) -> str | None:
        """What says that something is wrong: the first test that fails, or that their time is over (``Durations``).
        None if they pass, or there are none."""
        if not tests:
            return None
        arguments = self.folder / "tests.txt"
        arguments.write_text("\n".join(tests), "utf-8")
        command = [sys.executable, "-m", "pytest", *PYTEST, "-rfE", *options, f"@{arguments}"]
        said = self.folder / "said.txt"
        with said.open("w", encoding="utf-8") as output, subprocess.Popen(
            command, cwd=self.folder, env=self._environment, stdout=output, stderr=output, start_new_session=True
        ) as process:  # fmt: skip
            try:
                if _end(process, said, *most_s) == 0:
                    return None
            except TimeoutError:
                return "its time, which is over"
            finally:
                _kill_group(process.pid)
        return next(iter(_failed(said.read_text("utf-8", "replace"))), "the tests, which cannot be run")

    def reached_by(self, tests: list[str]) -> tuple[Reached, "Durations"]:
        """Run the tests, and say what those that pass run, and how long they took."""
        began = time.monotonic()
        data = self.folder / f"reached-{tests[0].replace('/', '-')}"
        command = [sys.executable, "-m", "pytest", *PYTEST, "--maxfail=0", "-rfE", "--durations=0", *OPTIONS, *tests]
        done = subprocess.run(
            command, cwd=self.folder, env={**self._environment, "COVERAGE_FILE": str(data)}, capture_output=True,
            text=True, timeout=1800, check=False,
        )  # fmt: skip
        failed = frozenset(_failed(done.stdout))
        if done.returncode and not failed:
            said = done.stdout[-2000:] + done.stderr[-2000:]
            raise SystemExit(f"these tests cannot be run without any mutant: {' '.join(tests)}\n{said}")
        for test in sorted(failed):
            print(f"left out, for it fails without any mutant while lines are written down: {test}", flush=True)
        return Reached(data, failed), Durations(done.stdout, time.monotonic() - began)

    def mutants_of_sql(self, modules: list[Path], chance: random.Random | None) -> Iterator[tuple[Mutant, Path, str]]:
        """Each mutant of the SQL in the modules, as ``mutants`` gives those of their Python."""
        paths = [self.folder / module for module in modules]
        found = [(path, text) for path in paths for text in sql_mutants(path.read_text("utf-8"))]
        if chance:
            chance.shuffle(found)
        compared = (_compared(path, text, self.folder / SOURCE) for path, text in found)
        return (mutant for mutant in compared if mutant)

    def mutants(self, modules: list[Path], chance: random.Random | None) -> Iterator[tuple[Mutant, Path, str]]:
        """Each mutant of the modules, with its file and the text of that; by chance in some order, else in theirs.
        Made as they are asked for, since each takes some hundredths of a second."""
        commands, databases = _cosmic_ray("commands"), _cosmic_ray("work_db")
        with databases.use_db(":memory:", databases.WorkDB.Mode.create) as database:
            commands.init([self.folder / module for module in modules], database, {})
            specs = [item.mutations[0] for item in database.work_items]
        specs = [spec for spec in specs if says_something(spec.operator_name)]
        if chance:
            specs.sort(key=lambda spec: (str(spec.module_path), spec.operator_name, spec.occurrence))
            chance.shuffle(specs)
        for spec in specs:
            if mutant := _mutated(spec, self.folder / SOURCE):
                yield mutant


def _end(process: subprocess.Popen[bytes], said: Path, silent_s: float, most_s: float) -> int:
    """Wait for the end of pytest, which says so in ``said`` whenever a test ends; its exit code. Raises TimeoutError
    when it has said nothing, or has gone on, for too long."""
    began = last = time.monotonic()
    size = 0
    while True:
        try:
            return process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        if said.stat().st_size != size:
            last, size = now, said.stat().st_size
        if now - last > silent_s or now - began > most_s:
            raise TimeoutError


def says_something(operator: str) -> bool:
    """Whether the mutants of one of cosmic-ray's operators are worth testing."""
    if operator.startswith(_ANNOTATION):
        return False
    return all(operator == useful for prefix, useful in _IDENTITY.items() if operator.startswith(prefix))


def _place_in(near: Sequence[str], test: str) -> int:
    """Where a test stands in a list of files and folders."""
    return next((place for place, path in enumerate(near) if test.startswith(path)), len(near))


def _batches(reached: Reached, module: Path, line: int, near: Sequence[str]) -> list[list[str]]:
    """The tests that have to notice a mutant of a line: those of its function where those of the line do not."""
    tests = reached.tests_of(module, line)
    if tests is None:
        return [reached.of_all(near)]
    return [sorted(some, key=partial(_place_in, near)) for some in (tests, reached.tests_around(module, line))]


def _mutated(spec: Any, base: Path) -> tuple[Mutant, Path, str] | None:
    operator = _cosmic_ray("plugins").get_operator(spec.operator_name)(**spec.operator_args)
    path = Path(spec.module_path)
    try:
        mutated: str | None = _cosmic_ray("mutating").mutate_code(path.read_text("utf-8"), operator, spec.occurrence)
    except AttributeError:
        return None  # cosmic-ray cannot replace an exception with a dot in its name
    return None if mutated is None else _compared(path, mutated, base)


def _compared(path: Path, mutated: str, base: Path) -> tuple[Mutant, Path, str] | None:
    """A mutant by the first line that differs; None for what is no Python, or no change that counts."""
    text = path.read_text("utf-8")
    if _keywords(mutated) != _keywords(text):
        return None
    changed, original = mutated.splitlines(), text.splitlines()
    line = next((n for n, pair in enumerate(zip(original, changed, strict=False)) if pair[0] != pair[1]), None)
    while line is not None and not original[line].strip():
        line += 1  # a decorator goes with the blank line above it
    if line is None or original[line].lstrip().startswith(_FOR_US):
        return None
    mutant = Mutant(str(path.relative_to(base)), line + 1, original[line].strip(), changed[line].strip())
    return mutant, path, mutated


def _keywords(source: str) -> int:
    """How many parameters are given by name only: a ``*`` among them is no multiplication. -1 for what is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return -1
    return sum(len(node.kwonlyargs) for node in ast.walk(tree) if isinstance(node, ast.arguments))


def _cosmic_ray(module: str) -> Any:
    return importlib.import_module(f"cosmic_ray.{module}")  # installed by ./tasks mutate only


def _failed(said: str) -> list[str]:
    """The tests that failed, in what pytest says."""
    return [line.split(" ", 1)[1].split(" - ")[0] for line in said.splitlines() if line.startswith(_FAILED)]


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, 9)
    except ProcessLookupError:
        return


def known() -> dict[tuple[str, str, str], str]:
    """The survivors that may survive, with the reason of each."""
    entries = tomllib.loads(SURVIVORS.read_text("utf-8")).get("survivor", [])
    return {(entry["module"], entry["before"], entry["after"]): entry["why"] for entry in entries}


def room_of(path: str) -> str:
    """The room that a module of ``src/phaseflow`` belongs to."""
    return Path(path).parts[0]


def modules_of(paths: list[str]) -> list[Path]:
    """The modules that are meant by rooms and modules; raises SystemExit for what is none of the core."""
    found: list[Path] = []
    for path in paths or list(NEAR):
        there = ROOT / SOURCE / path
        if room_of(path) not in NEAR or not there.exists():
            raise SystemExit(f"{path} is not part of {', '.join(NEAR)} in {SOURCE}")
        files = sorted(there.rglob("*.py")) if there.is_dir() else [there]
        found += [file.relative_to(ROOT) for file in files if file.name != "__init__.py"]
    return found


def main() -> int:
    """Test the mutants and print those that survive."""
    parser = argparse.ArgumentParser(
        prog="./tasks mutate", description="Change the core, and see whether tests notice."
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a room or module of src/phaseflow; all without one")
    parser.add_argument("--sql", action="store_true", help="change the SQL in the strings of store, and no Python")
    parser.add_argument("--sample", type=int, help="only so many mutants, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="of that choice")
    parser.add_argument("--log", type=Path, help="append each survivor to this file as it is found")
    options = parser.parse_args()
    modules, excused = modules_of(options.paths or (["store"] if options.sql else [])), known()
    began = time.monotonic()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="phaseflow-mutate-") as folder:
        laboratory = Laboratory(Path(folder))
        rooms = {room_of(str(module.relative_to(SOURCE))) for module in modules}
        reached = {room: laboratory.reached_by(NEAR[room]) for room in rooms}
        chance = None if options.sample is None else random.Random(options.seed)  # noqa: S311  # no secret
        mutants = laboratory.mutants_of_sql if options.sql else laboratory.mutants
        for mutant, path, text in islice(mutants(modules, chance), options.sample):
            room = room_of(mutant.where)
            original = path.read_text("utf-8")
            lines, durations = reached[room]
            batches = _batches(lines, path, mutant.line, NEAR[room])
            path.write_text(text, "utf-8")
            try:
                found = (laboratory.noticed_by(tests, durations.most_s(tests)) for tests in batches)
                by = next(filter(None, found), None)
            finally:
                path.write_text(original, "utf-8")
            fate = "killed" if by else "excused" if mutant.identity in excused else "SURVIVES"
            counts[fate] += 1
            print(f"{sum(counts.values())}: {fate}" + (f" by {by}" if by else ""), flush=True)
            if fate == "SURVIVES":
                print(mutant, flush=True)
                if options.log:
                    with options.log.open("a", encoding="utf-8") as log:
                        log.write(f"{mutant}\n")
    tested = sum(counts.values())
    spent = time.monotonic() - began
    print(
        f"{tested} tested in {spent:.0f} s: " + ", ".join(f"{count} {fate}" for fate, count in sorted(counts.items()))
    )
    return 1 if counts["SURVIVES"] else 0


if __name__ == "__main__":
    sys.exit(main())
