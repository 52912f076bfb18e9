"""How long a module may be, and how short: ``./tasks check`` runs this, and prints what is wrong.

A module, of the dashboard too, is a noun under 300 lines. One of a few lines that a single neighbour uses is a part of
that neighbour: it costs a reader a jump and a name, and buys nothing.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
CEILING = 300
FLOOR = 40
MAY_BE_SHORT = {
    "phaseflow.client.definitions": "what the client says a knowledge base is to be; the client is the protocol",
    "phaseflow.components.embedders.guarded": "knows the HTTP library, so it is imported only where it is used",
    "phaseflow.components.extraction.html_tables": "rendering is as long as a module may be",
    "phaseflow.components.extraction.rst": "one module a format",
    "phaseflow.supervisor.draining": "the supervisor is as long as a module may be",
    "phaseflow.supervisor.giving_way": "how a job ends belongs to the supervisor, whoever asks for it",
}
"""Modules with one user that stay apart all the same, each with its reason."""


def complaints(source: Path = SOURCE, may_be_short: dict[str, str] = MAY_BE_SHORT) -> list[str]:
    """What is wrong with the lengths of the modules below a folder."""
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in sorted(source.rglob("*.py"))}
    users = _users(source, list(lengths))
    scripts = {path: len(path.read_text("utf-8").splitlines()) for path in sorted(source.rglob("*.js"))}
    long = [path for path, length in (lengths | scripts).items() if length > CEILING]
    found = [f"{_name(source, path)}: {(lengths | scripts)[path]} lines, at most {CEILING}" for path in long]
    for path, length in lengths.items():
        name = _name(source, path)
        if path.name.startswith("__") or length >= FLOOR or name in may_be_short:
            continue
        if len(users[name]) == 1:
            found.append(f"{name}: {length} lines for {next(iter(users[name]))} alone; make it part of that")
    named = {_name(source, path) for path, length in lengths.items() if length < FLOOR}
    return found + [f"{name}: need not be excused any more" for name in may_be_short if name not in named]


def _name(source: Path, path: Path) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _users(source: Path, paths: list[Path]) -> defaultdict[str, set[str]]:
    """For each module the modules that import it, or something of it."""
    users: defaultdict[str, set[str]] = defaultdict(set)
    names = {_name(source, path) for path in paths}
    for path in paths:
        for imported in _imports(ast.parse(path.read_text("utf-8"))):
            module = imported if imported in names else imported.rpartition(".")[0]
            if module in names and module != _name(source, path):
                users[module].add(_name(source, path))
    return users


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


if __name__ == "__main__":
    wrong = complaints()
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)
