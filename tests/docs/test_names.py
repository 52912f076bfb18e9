"""Names and numbers in the pages are those of the code, and none is missing."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from phaseflow import Job, JobPhase, JobStatus, PhaseFlow, PhaseStatus, PhaseTracker, Reader, UploadLimits, WaitingOn
from phaseflow.client import Client
from phaseflow.client import errors as client_faults
from phaseflow.client.connection import SILENCE_S, TIMEOUT_S
from phaseflow.components import indexes, protocols, word_ranking
from phaseflow.components.embedders.openai import OpenAIEmbedder
from phaseflow.components.extraction import formats, html, markdown_writer, package, registry, sheet_limits
from phaseflow.components.sources import archive, folder
from phaseflow.components.sources.web import Limits as WebLimits
from phaseflow.components.sources.web import sitemap, start_urls
from phaseflow.components.sources.web.page import MAX_LINKS
from phaseflow.components.workers.process import Limits as WorkerLimits
from phaseflow.domain import errors, identifiers, search_query
from phaseflow.domain.errors import ComponentError, PhaseflowError, StoreError
from phaseflow.domain.policy import BudgetPolicy, GuardPolicy, RetryPolicy
from phaseflow.domain.settings import OpenAIEmbedderSettings, Settings, WebSource
from phaseflow.flow import control, document_queries, inputs, searching
from phaseflow.http import Limits as ServiceLimits
from phaseflow.http import create_app
from phaseflow.http.access import LOOPBACK
from phaseflow.http.problems import HttpError
from phaseflow.store.connection import BUSY_S
from tests.docs.pages import DOCS, PAGES, README, ROOT, heading_anchors, prose, text_of
from tests.matrices import together

ALL = "".join(page.read_text(encoding="utf-8") for page in PAGES)
SOURCE = sorted((ROOT / "src").rglob("*.py"))
LIBRARY, FORMATS, SOURCES = text_of("LIBRARY.md"), text_of("FORMATS.md"), text_of("SOURCES.md")
GUIDE, FEED, API = text_of("USER_GUIDE.md"), text_of("FEED.md"), text_of("INGESTION_API.md")
OPENAI = inspect.signature(OpenAIEmbedder).parameters
OF_THE_TESTS = {"PHASEFLOW_CORPORA", "PHASEFLOW_AXE"}


def _links() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
            yield page.name, target


@together(("page", "target"), sorted(set(_links())))
def test_links_lead_to_a_page_and_a_heading_in_it(page: str, target: str) -> None:
    origin = next(each for each in PAGES if each.name == page)
    name, _, anchor = target.partition("#")
    place = (origin.parent / name).resolve() if name else origin
    assert place.exists()
    if anchor:
        assert anchor in heading_anchors(place.read_text(encoding="utf-8"))


@together("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_every_page_is_linked_from_the_readme_or_the_guide(page: Any) -> None:
    assert f"{page.name})" in README.read_text(encoding="utf-8") + text_of("USER_GUIDE.md")


def _variables(text: str) -> set[str]:
    return set(re.findall(r"PHASEFLOW_[A-Z_]*[A-Z]", text))


def test_every_variable_of_the_environment_stands_in_the_table() -> None:
    used = _variables("".join(path.read_text(encoding="utf-8") for path in SOURCE))
    assert used == set(re.findall(r"^\| `(PHASEFLOW_\w+)`", text_of("DEPLOY.md"), flags=re.MULTILINE))


def test_no_page_names_a_variable_that_is_not_read() -> None:
    used = _variables("".join(path.read_text(encoding="utf-8") for path in SOURCE))
    assert _variables(ALL) <= used | OF_THE_TESTS


def _public(kind: type) -> list[str]:
    return sorted(name for name in dir(kind) if not name.startswith("_"))


def _parameters(function: Any) -> list[inspect.Parameter]:
    return [each for each in inspect.signature(function).parameters.values() if each.name not in {"self", "flow"}]


def _shown(value: Any) -> str:
    return "loopback names" if value is LOOPBACK else f"`{value!r}`".replace("'", '"')


@together("parameter", _parameters(PhaseFlow), ids=lambda each: each.name)
def test_every_parameter_of_the_engine_stands_with_its_default(parameter: inspect.Parameter) -> None:
    assert f"| `{parameter.name}` | {_shown(parameter.default)} |" in LIBRARY


@together("parameter", _parameters(create_app), ids=lambda each: each.name)
def test_every_argument_of_the_application_stands_with_its_default(parameter: inspect.Parameter) -> None:
    assert f"| `{parameter.name}` | {_shown(parameter.default)} |" in text_of("DEPLOY.md")


@together(
    ("kind", "name"),
    [(kind, name) for kind in (PhaseFlow, Job, Reader, Client, PhaseTracker) for name in _public(kind)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_public_member_stands_in_the_library_page(kind: type, name: str) -> None:
    chapter = LIBRARY.split(f"\n## `{kind.__name__}`\n", 1)[1].split("\n## ", 1)[0]
    assert re.search(rf"`({kind.__name__}\.)?{name}\b", chapter)


@together("line", re.findall(r"^\| `(\w+)\(([^)]*)\)`", LIBRARY, flags=re.MULTILINE), ids=lambda line: line[0])
def test_signatures_in_the_library_page_are_those_of_the_code(line: tuple[str, str]) -> None:
    name, shown = line
    kinds = (
        PhaseFlow,
        Job,
        PhaseTracker,
        Client,
        protocols.Loader,
        protocols.Chunker,
        protocols.Embedder,
        indexes.CountingIndex,
    )
    found = [getattr(kind, name) for kind in kinds if hasattr(kind, name)]
    assert any(_as_shown(function) == shown for function in found), [_as_shown(function) for function in found]


def _as_shown(function: Any) -> str:
    words: list[str] = []
    for each in inspect.signature(function).parameters.values():
        if each.name == "self":
            continue
        if each.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        default = "" if each.default is inspect.Parameter.empty else f"={each.default!r}".replace("'", '"')
        words.append(each.name + default)
    return ", ".join(words)


PROTOCOLS = [protocols.Loader, protocols.Chunker, protocols.Embedder, indexes.Index]
VALUES = [protocols.Entry, protocols.Document, protocols.Unchanged, protocols.Skipped]
VALUES_OF_AN_INDEX = [indexes.Space, indexes.IndexDocument, indexes.Query]


@together("protocol", PROTOCOLS, ids=lambda protocol: protocol.__name__)
def test_every_protocol_stands_with_its_members_and_optional_attributes(protocol: type) -> None:
    chapter = re.split(r"\n##+ ", LIBRARY.split(f"\n`{protocol.__name__}` ", 1)[1], maxsplit=1)[0]
    optional = re.findall(r"``(\w+): ", protocol.__doc__ or "")
    members = [*_public(protocol), *optional, *getattr(protocol, "__annotations__", {})]
    assert all(re.search(rf"\| `{name}\b", chapter) for name in members), members


@together("kind", [*VALUES, *VALUES_OF_AN_INDEX], ids=lambda kind: kind.__name__)
def test_every_value_of_a_component_stands_with_its_fields(kind: Any) -> None:
    rows = [line for line in LIBRARY.splitlines() if line.startswith("|") and f"`{kind.__name__}`" in line]
    assert any(all(f"`{field.name}`" in row for field in fields(kind)) for row in rows)


def _errors() -> list[type[PhaseflowError]]:
    found = [*vars(errors).values(), *vars(client_faults).values()]
    return sorted(
        {each for each in found if isinstance(each, type) and issubclass(each, PhaseflowError)},
        key=lambda e: e.__name__,
    )


@together("error", _errors(), ids=lambda error: error.__name__)
def test_every_error_stands_in_the_library_page_with_its_code(error: type[PhaseflowError]) -> None:
    line = next(line for line in LIBRARY.splitlines() if line.startswith(f"| `{error.__name__}` |"))
    assert "or its own" in line or "of the answer" in line or f"`{error.code}`" in line


def _below(kind: type[PhaseflowError]) -> set[type[PhaseflowError]]:
    return {kind}.union(*map(_below, kind.__subclasses__()))


def test_every_code_of_the_service_and_of_its_database_is_in_the_table_of_problems() -> None:
    codes = {each.code for each in _below(HttpError) | _below(StoreError) if each.__module__.startswith("phaseflow.")}
    listed = [line for line in API.splitlines() if line.startswith("|")]
    assert [code for code in sorted(codes) if not any(f"`{code}`" in line for line in listed)] == []


OF_A_PHASE = {"phase_failed"}


def _nodes(path: Path) -> Iterator[ast.AST]:
    """The syntax of a module. It is not kept: that of all modules would be looked at by each collection of garbage."""
    return ast.walk(ast.parse(path.read_text("utf-8")))


def _document_codes() -> set[str]:
    """Codes of ``failures``: given to DocumentError, or to a FailedDocument."""
    found: set[str] = set()
    for path in SOURCE:
        if not re.search(r"\bcode\s*=|FailedDocument", path.read_text("utf-8")):
            continue
        for node in _nodes(path):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and path.parent.name == "actors":
                found |= {
                    str(node.value.value) for each in node.targets if getattr(each, "id", "") == "code"
                } - OF_A_PHASE
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FailedDocument":
                found |= {
                    arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                }
    return found


def test_every_reason_why_a_document_fails_has_a_line() -> None:
    lines = [line for line in (text_of("TROUBLESHOOTING.md") + FORMATS).splitlines() if line.startswith("|")]
    codes = _document_codes() | {ComponentError.code}
    assert "encrypted" in codes
    assert [code for code in sorted(codes) if not any(f"`{code}`" in line.split("|")[1] for line in lines)] == []


@together("kind", [JobPhase, JobStatus, PhaseStatus, WaitingOn])
def test_every_word_of_the_status_stands_in_the_pages(kind: type[StrEnum]) -> None:
    assert [word for word in kind if not re.search(rf"\b{word}\b", ALL)] == []


@together("word", WaitingOn)
def test_every_reason_to_wait_says_what_to_do(word: str) -> None:
    assert f"| `{word}` |" in text_of("TROUBLESHOOTING.md")


def _amount(name: str, value: Any) -> str:
    if name.endswith("bytes") and value:
        for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB")):
            if value % size == 0:
                return f"{value // size} {unit}"
    number = f"{value:,g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else f"`{value}`"
    return f"{number} s" if name.endswith("_s") else number


@together(
    ("page", "name", "value"),
    [
        (page, f"{kind.__name__}.{field.name}", getattr(kind(), field.name))
        for page, kind in [
            ("INGESTION_API.md", ServiceLimits),
            ("INGESTION_API.md", UploadLimits),
            ("SOURCES.md", WebLimits),
            ("LIBRARY.md", RetryPolicy),
            ("LIBRARY.md", BudgetPolicy),
            ("LIBRARY.md", GuardPolicy),
        ]
        for field in fields(kind)
    ],
)
def test_every_default_stands_in_the_table_of_its_page(page: str, name: str, value: Any) -> None:
    line = next(line for line in text_of(page).splitlines() if line.startswith("|") and f"| `{name}` |" in line + "|")
    assert _amount(name, value) in [cell.strip() for cell in line.split("|")]


MIB = 1 << 20


@together(
    ("page", "row"),
    [
        (FORMATS, f"a file | {folder.MAX_BYTES // MIB} MiB"),
        (FORMATS, f"a document, unpacked (Office, OpenDocument, EPUB) | {package.MAX_UNPACKED // MIB} MiB"),
        (FORMATS, f"the text of a document | {markdown_writer.MAX_CHARS:,} characters"),
        (FORMATS, f"an HTML page | {html.MAX_CHARS:,} characters"),
        (FORMATS, f"a spreadsheet | {sheet_limits.MAX_CELLS:,} cells per sheet"),
        (FORMATS, f"files in an opened ZIP archive | {archive.MAX_MEMBERS:,}"),
        (FORMATS, f"time to read a document in a worker | {WorkerLimits().time_s:g} s"),
        (FORMATS, f"memory to read a document in a worker | {WorkerLimits().memory_bytes >> 30} GiB"),
        (LIBRARY, f"items in one page of a list | {inputs.MOST_ITEMS:,}"),
        (LIBRARY, f"hits of a search | {searching.MOST_HITS}"),
        (LIBRARY, f"characters of a query | {search_query.LONGEST_QUERY:,}"),
        (LIBRARY, f"words of a query that are looked up | {word_ranking.MOST_WORDS}"),
        (LIBRARY, f"characters of `q` in `documents` | {document_queries.LONGEST_PART}"),
    ],
)
def test_limits_that_are_constants_stand_in_their_table(page: str, row: str) -> None:
    assert f"| {row} |" in page


@together(
    ("page", "sentence"),
    [
        (FORMATS, f"ended after {WorkerLimits().idle_s:g} seconds without one"),
        (FORMATS, f"anything over {registry.LARGE // 1024} KiB"),
        (SOURCES, f"at most {archive.MAX_MEMBERS:,} files in an archive"),
        (SOURCES, f"Files larger than {folder.MAX_BYTES // MIB} MiB fail"),
        (SOURCES, f"At most {MAX_LINKS:,} from one page"),
        (SOURCES, f"{sitemap.MAX_BYTES // MIB} MiB and {sitemap.MAX_PAGES:,} addresses"),
        (SOURCES, f"at most {start_urls.MAX_SITEMAPS:,} sitemaps"),
        (
            GUIDE,
            f"{BudgetPolicy().in_a_row} documents in a row, or more than {BudgetPolicy().share * 100:g} of the last"
            f" {BudgetPolicy().window}",
        ),
        (GUIDE, f"until {RetryPolicy().tries} attempts or {RetryPolicy().most_s:g} seconds of waiting are used up"),
        (API, f"waits up to {control.VERB_RESPONSE_S:g} s for the effect"),
        (API, f"after {BUSY_S:g} s of that it answers 503"),
        (LIBRARY, f"waits up to {control.VERB_RESPONSE_S:g} s for the effect"),
        (LIBRARY, f"has the file locked for {BUSY_S:g} s"),
        (GUIDE, f"{GuardPolicy().rate_limited_s:g} seconds in which every answer was a rate limit"),
        (GUIDE, f"{GuardPolicy().stalled_s:g} seconds of loading a site without a single page worth keeping"),
        (SOURCES, f"{(GuardPolicy().stalled_s or 0) / 60:g} minutes of loading without a single page worth keeping"),
        (SOURCES, f"the time that its size takes at {WebLimits().slowest_rate // 1024} KiB a second"),
        (GUIDE, f"at most {OPENAI['batch_size'].default} in a call, {OPENAI['in_flight'].default} calls at once"),
        (GUIDE, f"A call that takes more than {OPENAI['timeout_s'].default} s is a timeout"),
        (FEED, f"comes every {ServiceLimits().heartbeat_s:g} s. If none comes for {SILENCE_S:g} s"),
        (FEED, f"stops reading for {ServiceLimits().send_s:g} s"),
        (FEED, f"{ServiceLimits().streams:,} streams at once, {ServiceLimits().streams_per_client} from one address"),
        (LIBRARY, f"A request times out after {TIMEOUT_S:g} s"),
        (SOURCES, f"`--max-pages` ({WebSource.__dataclass_fields__['max_pages'].default})"),
    ],
)
def test_limits_that_stand_in_sentences_are_those_of_the_code(page: str, sentence: str) -> None:
    assert sentence in " ".join(page.split())


def _messages(needed: list[set[str]]) -> set[str]:
    """Every text of the modules that have all words of one of some sets, with ``…`` for what is put into it.

    To parse all modules takes a second.
    """
    found = set()
    for path in SOURCE:
        words = set(re.findall(r"\w+", path.read_text("utf-8")))
        for node in _nodes(path) if any(each <= words for each in needed) else ():
            if isinstance(node, ast.JoinedStr):
                found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def _shown_messages() -> list[str]:
    page = text_of("TROUBLESHOOTING.md")
    tables = [page.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0] for title in WITH_MESSAGES]
    cells = [line.split("|")[1] for table in tables for line in table.splitlines() if line.startswith("|")]
    return sorted({message for cell in cells for message in re.findall(r"`([^`]+)`", cell)})


WITH_MESSAGES = ("The job paused on its own", "The job failed", "The database", "Search", "A command")


def test_messages_in_troubleshooting_are_those_of_the_code() -> None:
    parts = {message: [p.strip() for p in message.split("…") if p.strip(" :;")] for message in _shown_messages()}
    templates = _messages([set(re.findall(r"\b\w+\b", " ".join(needed))) for needed in parts.values()])
    assert parts
    assert [m for m, needed in parts.items() if not any(all(p in text for p in needed) for text in templates)] == []


@pytest.mark.parametrize(("length", "fits"), [(63, True), (64, False)])
def test_the_longest_name_of_a_knowledge_base(length: int, fits: bool) -> None:
    assert bool(re.fullmatch(identifiers.KB_ID, "a" * length)) is fits
    assert "| characters of a `kb_id` | 63 |" in LIBRARY


@pytest.mark.parametrize(("length", "fits"), [(200, True), (201, False)])
def test_the_longest_id_of_a_job(length: int, fits: bool) -> None:
    assert bool(re.fullmatch(identifiers.JOB_ID, "a" * length)) is fits
    assert "| characters of a `job_id` | 200 |" in LIBRARY


@together("name", sorted({*Settings.model_fields, *OpenAIEmbedderSettings.model_fields} - {"chosen_by_client"}))
def test_every_setting_stands_in_the_api_page(name: str) -> None:
    assert f"`{name}`" in text_of("INGESTION_API.md") or f'"{name}"' in text_of("INGESTION_API.md")


def _extensions() -> list[str]:
    return sorted(
        {extension for each in formats.FORMATS if each.is_binary for extension in each.extensions}
        | {each.extensions[0] for each in formats.FORMATS if each.name not in {"source code", "feed"}}
    )


@together("extension", _extensions())
def test_every_format_stands_in_the_table(extension: str) -> None:
    cells = [line.split("|")[2] for line in FORMATS.splitlines() if line.count("|") == 5]
    assert any(f"`{extension}`" in cell for cell in cells)
