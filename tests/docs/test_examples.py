"""Every command and program of the pages is run, in the order of the page, and prints what the page says."""

import ast
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import pytest

from phaseflow.cli import main
from tests.docs.pages import DOCS, PAGES, Block, blocks, output_pattern, prose, squeezed
from tests.docs.servers import model_server, web_site
from tests.docs.terminal import Command, Terminal, commands
from tests.indexes.postgres import Postgres
from tests.matrices import together
from tests.ports import free_port

ELSEWHERE = {"INGESTION_API.md", "DASHBOARD.md"}
"""Their examples are run by tests of the service and of the dashboard."""
RUN = [page for page in PAGES if page.name not in ELSEWHERE]
FRAMEWORKS = re.compile(
    r"^(?:from|import) (?:langchain|llama_index|haystack|openai|phaseflow\.integrations)", re.MULTILINE
)
"""Examples with what the default tests do without."""
NEEDS = {"INTEGRATIONS.md": ("mcp", "opentelemetry.sdk")}
"""Optional packages that the examples of a page import."""
INDEX_SERVER = "postgresql://phaseflow:PASSWORD@db.internal/phaseflow"
INSTALLS = "pip install"
"""Commands that ``.ci/quick-start`` runs."""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in a folder with the folders that the pages speak of."""
    folder = tmp_path / "home"
    _write_notes(folder / "notes")
    shutil.copytree(DOCS, folder / "docs")
    with model_server() as models, web_site() as site:
        ports = {":8000": free_port(), ":8080": site, ":11434": models}
        terminal = Terminal(folder, {named: f":{mine}" for named, mine in ports.items()}, ports[":8000"])
        try:
            yield terminal
        finally:
            terminal.close()


def _write_notes(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "regions.md").write_text(
        "# Regions\n\nA region is a set of data centres.\n\n"
        "## Cost\n\nTraffic between regions is billed by the gigabyte.\n"
    )
    (folder / "budgets.md").write_text("# Budgets\n\nEvery budget needs an owner. Review it once a month.\n")
    (folder / "photo.jpg").write_bytes(bytes(300))


@pytest.mark.examples
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_the_examples_of_a_page_do_what_it_says(page: Path, terminal: Terminal) -> None:
    for module in NEEDS.get(page.name, ()):
        pytest.importorskip(module, reason="comes with the development group")
    found = [block for block in _runnable(page) if not FRAMEWORKS.search(block.code)]
    with ExitStack() as stack:
        if any(INDEX_SERVER in block.code for block in found):
            terminal.stand_in(INDEX_SERVER, stack.enter_context(Postgres()).url)
        _run(found, terminal)


@pytest.mark.adapters
def test_the_examples_with_frameworks_do_what_the_page_says(terminal: Terminal) -> None:
    for package in ("langchain_core", "llama_index.core", "haystack", "openai"):
        pytest.importorskip(package, reason="needs the dependency group adapters")
    _run(_runnable(DOCS / "INTEGRATIONS.md"), terminal)


def _run(found: list[Block], terminal: Terminal) -> None:
    for language, group in groupby(found, key=lambda block: block.language):
        if language == "python":
            terminal.run(list(group))
        else:
            for block in group:
                _type_all(terminal, commands(block))


def _runnable(page: Path) -> list[Block]:
    found = blocks(page.read_text(encoding="utf-8"))
    return [block for block in found if block.language in {"python", "console", "sh"} and block.beyond is None]


def _type_all(terminal: Terminal, typed: list[Command]) -> None:
    for command, following in zip(typed, [*typed[1:], None], strict=True):
        if INSTALLS in command.line:
            continue
        terminal.type(command, may_fail=following is not None and following.line == "echo $?")


def test_programs_that_report_their_phases_are_short() -> None:
    reporting = [b for b in blocks((DOCS / "INTEGRATIONS.md").read_text("utf-8")) if "complete_phase(" in b.code]
    assert len(reporting) == 3
    for block in reporting:
        assert len([line for line in block.code.splitlines() if line.strip()]) < 30, block.line


LANGUAGES = {
    "console", "css", "html", "http", "ini", "js", "json", "jsx", "mermaid", "nginx", "python", "sh", "text",
}  # fmt: skip


@together("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks(page.read_text(encoding="utf-8"))} <= LANGUAGES


def _in_all_pages(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8")) if block.language == language]


@together("block", _in_all_pages("python"), ids=lambda block: f"line {block.line}")
def test_python_in_the_pages_is_python(block: Block) -> None:
    ast.parse(block.code)


@together("block", _in_all_pages("json"), ids=lambda block: f"line {block.line}")
def test_json_in_the_pages_is_json(block: Block) -> None:
    json.loads(block.code)


NO_COMMANDS = {"serves", "--version"}


def _lines_that_call_phaseflow() -> list[str]:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    typed = [block for text in texts for block in blocks(text) if block.language != "python"]
    code = "\n".join(block.code.replace("\\\n", " ") for block in typed)
    inline = re.findall(r"`(phaseflow [^`]+)`", "\n".join(map(prose, texts)))
    found = re.findall(r"(?:^|[/ $])(phaseflow [a-z]+ [^|&;\n]*)", code, flags=re.MULTILINE)
    return sorted({line.strip() for line in [*inline, *found]})


@together("line", _lines_that_call_phaseflow())
def test_commands_in_the_pages_have_options_that_exist(line: str) -> None:
    name, *words = line.replace("\n", " ").split()[1:]
    if name in NO_COMMANDS:
        return
    known = {option for parameter in main.commands[name].params for option in parameter.opts} | {"--help"}
    given = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z-]*.*", word)}
    assert given <= known


@together(
    ("shown", "printed", "fits"),
    [
        ("a … c", "a b c", True),
        ("a … c", "a b d", False),
        ("…\nlast", "first\nsecond\nlast", True),
        ("…\nlast", "first\nlast\nmore", False),
        ("one", "one\ntwo", False),
        ("", "one", False),
        ("a   b", "a b", True),
        ("1.5", "1x5", False),
    ],
)
def test_an_output_is_compared_line_by_line(shown: str, printed: str, fits: bool) -> None:
    assert bool(output_pattern(shown).fullmatch(squeezed(printed))) is fits
