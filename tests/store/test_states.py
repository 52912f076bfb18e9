"""The numbers of states stand in one place, and mean what the schema says; ids are shifted in another."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import phaseflow
from phaseflow.domain.vocabulary import PHASES
from phaseflow.store import states
from phaseflow.store.states import HANDED_TO, DocumentState, EntryState
from tests.matrices import together

ROOT = Path(phaseflow.__file__).parent
SCHEMA = Path(__file__).parents[2] / "schema.sql"
OLD = {"store/migration.py", "store/version_2.py"}
"""What brings an older file forward says what that version had."""
BARE = re.compile(
    r"\bstate\s*(?:=|<>|!=|<=|>=|<|>|IS)\s*\d|\bstate\s+(?:NOT\s+)?IN\s*\(\s*\d|(?:<<|>>)\s*20\b|0xFFFFF", re.I
)

WORDS = re.compile(r"\bstate\W*(?:(?:NOT|IN|IS)\W+)*\d|(?:<<|>>)\W*20\b|0xFFFFF", re.I)
"""Stands wherever ``BARE`` finds a text, also one in several pieces. To parse all modules takes two seconds."""


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module, also those between the braces of an f-string, if it has what could stand in them."""
    source = path.read_text("utf-8")
    for node in ast.walk(ast.parse(source)) if WORDS.search(source) else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_no_sql_has_the_number_of_a_state_or_shifts_an_id_by_itself() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.strip()}"
        for path in sorted(ROOT.rglob("*.py"))
        if str(path.relative_to(ROOT)) not in OLD
        for line, text in _texts(path)
        if BARE.search(text)
    ]
    assert found == []


@together("sql", ["state = 4", "d.state IN (3, 5)", "state NOT IN (4, 10)", "id >= ?1 << 20", "e.state<4"])
def test_what_is_looked_for_would_be_found(sql: str) -> None:
    assert BARE.search(f"SELECT 1 FROM documents WHERE {sql}")
    assert WORDS.search(sql)


def test_the_schema_names_the_same_numbers() -> None:
    schema = " ".join(line.removeprefix("-- ") for line in SCHEMA.read_text("utf-8").splitlines())
    documents = schema.partition("One version of a document. state: ")[2].partition("gone")[0] + "gone"
    words = documents.replace("being stored", "storing")
    numbers = {name.upper(): int(number) for number, name in re.findall(r"(\d+) (\w+)", words)}
    assert numbers == {state.name: state.value for state in DocumentState}
    entries = schema.partition("the frontier of the crawl. state: ")[2].partition(".")[0]
    assert [int(number) for number in re.findall(r"\d+", entries)] == list(EntryState)


@together(
    "condition",
    [
        states.IS_SEARCHABLE,
        states.IS_GONE,
        states.IS_ON_ITS_WAY,
        states.IS_IN_HAND,
        states.IS_LISTED,
        states.HAS_FAILED,
    ],
)
def test_a_condition_stands_in_the_schema_as_that_of_an_index(condition: str) -> None:
    assert re.search(rf"CREATE (?:UNIQUE )?INDEX [^;]* WHERE {re.escape(condition)};", SCHEMA.read_text("utf-8"))


def test_each_phase_after_loading_is_handed_the_state_that_the_one_before_it_leaves() -> None:
    assert list(HANDED_TO) == list(PHASES[1:])
    assert list(HANDED_TO.values()) == [DocumentState.LOADED, DocumentState.CHUNKED, DocumentState.EMBEDDED]
