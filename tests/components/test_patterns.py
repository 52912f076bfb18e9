"""Every regular expression of the package takes time that grows with its input, whatever that is.

A pattern that backtracks holds the interpreter lock, and with it every request, verb and signal, for as long as a
foreign text likes. So each is tried, in the ways in which the sources use it, with strings made from its own parts.
"""

import ast
import functools
import importlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

import phaseflow
from tests.matrices import first_of_each
from tests.stopwatch import slowness

CHARACTERS = (5_000, 40_000)
"""By default, and in the thorough tests."""
SHARE_S = 1 / 200_000
"""Processor time a character, at most, of a quick machine: five times what any takes. One that is quadratic takes
seconds for the more."""
OF_CUT_S = 0.3
"""Processor time for those of ``BOUNDED``, which may be quadratic."""
BOUNDED = {
    # What meets these is cut before, to so many characters.
    "components.extraction.data._FEED": 20_000,
    "components.extraction.data._FIRST_TITLE": 20_000,
    "components.extraction.front_matter._INLINE_ITEM": 4_000,
    "components.extraction.markup._ADOC_AUTHOR": 500,
    "components.extraction.markup._ADOC_TITLE": 500,
    "components.extraction.markup._ORG_MARKS": 500,
    "components.extraction.number_format._TOKEN": 255,
    "components.extraction.registry._MAILBOX": 512,
    "components.extraction.rst._SECTION": 20_000,
    "domain.search_query._QUOTED": 2_000,
    "domain.search_query._SECTION": 2_000,
}
IN_FUNCTIONS = {
    "cell_formats.__init__",
    "number_format._sections",
    "chunker._adjoining",
    "chunker._locate",
    "decoding._plainly_utf8",
    "document_calls.document_path",
    "kb_sources._free_name",
    "kb_sources._path",
    "markdown_headings.heading",
    "markup._extracted",
    "sitemap._is_closed",
    "sync._seconds_of",
    "fingerprint._words",
    "identifiers.check_job_id",
    "identifiers.check_kb_id",
    "page._named",
    "preconditions._etags",
    "client_rules._shown",
    "remote_sources.links_of",
    "remote_sources.protocol_of",
    "workers.parse_workers",
}
"""Functions that make a pattern, each linear by its form."""
ANYTHING = (
    "a", " ", "\n", "a ", "\n ", "<", "<a ", "<!--", "<?", '"', "'", "=", "a=", "\\", "\\u00e9", "-", "---\n", "%", "7",
    "7.", "a.", "A", "Aa", "(", "[", "&#", "\u00e9", "\t", "\u4e2d",
)  # fmt: skip
WAYS = {"match", "fullmatch", "search", "finditer", "findall", "sub", "subn", "split"}
SOURCES = Path(phaseflow.__file__).parent


def _names() -> Iterator[str]:
    """The modules of the package that a test may import."""
    for path in sorted(SOURCES.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith("integrations") and not name.endswith(("__main__", "__init__")):
            yield name


def _source(name: str) -> str:
    path = SOURCES.joinpath(*name.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")


@functools.cache
def _patterns(name: str) -> dict[str, tuple[re.Pattern[Any], frozenset[str]]]:
    """The patterns that a module keeps, and the methods that its source calls on them."""
    kept = {key: value for key, value in vars(_module(name)).items() if isinstance(value, re.Pattern)}
    tree = ast.parse(_source(name) if kept else "")
    ways, assigned = _ways(tree), _assigned(tree)
    return {key: (value, ways.get(key) or frozenset(WAYS)) for key, value in kept.items() if key in assigned}


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"phaseflow.{name}")


def _assigned(tree: ast.Module) -> set[str]:
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def _ways(tree: ast.Module) -> dict[str, frozenset[str]]:
    """By name: its methods that are used. A name that is used in any other way may be used in all."""
    used: dict[str, set[str]] = {}
    elsewhere: set[str] = set()
    parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            parent = parents[id(node)]
            if isinstance(parent, ast.Attribute) and parent.attr in WAYS:
                used.setdefault(node.id, set()).add(parent.attr)
            else:
                elsewhere.add(node.id)
    return {name: frozenset(ways) for name, ways in used.items() if name not in elsewhere}


MODULES = [name for name in _names() if "re.compile(" in _source(name)]
"""Those that keep patterns. Each is imported in its turn: all of them, in each process of a run, would take long."""


def _example(node: Any) -> str:
    """A text that begins as the pattern does: the least of each repetition, the first of each choice."""
    text = ""
    for operation, value in node:
        match str(operation):
            case "LITERAL":
                text += chr(value)
            case "NOT_LITERAL":
                text += "y" if value == ord("x") else "x"
            case "ANY":
                text += "a"
            case "IN":
                text += _one_of(value)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                text += _example(value[2]) * max(1, min(value[0], 5))
            case "SUBPATTERN":
                text += _example(value[3])
            case "BRANCH":
                text += _example(value[1][0])
            case "ATOMIC_GROUP":
                text += _example(value)
    return text


def _one_of(choices: Any) -> str:
    kinds = {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "7", "CATEGORY_WORD": "a"}
    named = []
    for operation, value in choices:
        match str(operation):
            case "LITERAL":
                named.append(chr(value))
            case "RANGE":
                named.append(chr(value[0]))
            case "CATEGORY":
                named.append(kinds.get(str(value), "-"))
    if any(str(operation) == "NEGATE" for operation, _ in choices):
        return next(letter for letter in "a b7\n<-z" if letter not in named)
    return named[0]


def _hostile(pattern: re.Pattern[Any], size: int) -> Iterator[str]:
    """Beginnings of a match, repeated and gone on with for ever, without its end and with a wrong one."""
    source = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    example = _example(re._parser.parse(source, pattern.flags & ~re.UNICODE))  # type: ignore[attr-defined]  # its only parser
    starts = list(dict.fromkeys(example[:end] for end in range(min(len(example), 16) + 1)))
    units = list(dict.fromkeys([*ANYTHING, *filter(None, starts), example]))
    for start in dict.fromkeys((starts[0], starts[len(starts) // 2], starts[-1])):
        for unit in units:
            if unit:
                yield (start + unit * (size // len(unit)))[:size] + "\0"


def _late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError


@pytest.fixture
def timed() -> Iterator[None]:
    before = signal.signal(signal.SIGPROF, _late)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


@pytest.mark.usefixtures("timed")
@pytest.mark.parametrize("characters", first_of_each(CHARACTERS))
@pytest.mark.parametrize("module", MODULES)
def test_no_text_keeps_a_pattern_busy(module: str, characters: int) -> None:
    for key, (pattern, ways) in _patterns(module).items():
        name = f"{module}.{key}"
        most_s = OF_CUT_S if name in BOUNDED else SHARE_S * characters
        for text in _hostile(pattern, min(BOUNDED.get(name, characters), characters)):
            data = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
            for way in sorted({"finditer" if way not in {"match", "fullmatch"} else way for way in ways}):
                if _keeps_busy(pattern, way, data, most_s):
                    longer_s = most_s * slowness()
                    assert not _keeps_busy(pattern, way, data, longer_s), (
                        f"{way} of {name} takes over {longer_s:.2f} s: {text[:60]!r}…"
                    )


def _keeps_busy(pattern: re.Pattern[Any], way: str, data: str | bytes, most_s: float) -> bool:
    signal.setitimer(signal.ITIMER_PROF, most_s)
    try:
        found = getattr(pattern, way)(data)
        assert way != "finditer" or sum(1 for _ in found) >= 0
    except TimeoutError:
        return True
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return False


def test_patterns_are_found_and_kept_by_modules() -> None:
    """One that is made in a function, or kept elsewhere, would escape the test above."""
    found = {name: _patterns(name) for name in _names()}
    assert sum(map(len, found.values())) > 240
    assert {name for name, patterns in found.items() if patterns} <= set(MODULES)
    assert BOUNDED.keys() <= {f"{name}.{key}" for name, patterns in found.items() for key in patterns}
    made = []
    of_re = re.compile(rf"\bre\.(?:{'|'.join(WAYS | {'compile'})})\b")
    for path in SOURCES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for function in ast.walk(ast.parse(text)) if of_re.search(text) else ():
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                made += [f"{path.stem}.{function.name}" for call in ast.walk(function) if _is_of_re(call)]
    assert sorted(set(made)) == sorted(IN_FUNCTIONS)


def _is_of_re(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in WAYS | {"compile"}
    )
