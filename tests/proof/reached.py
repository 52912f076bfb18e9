"""Which tests run a line: so that a change of it is tried with these tests only."""

import ast
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

from coverage import CoverageData

OPTIONS = ("--cov=phaseflow", "--cov-context=test", "--cov-report=", "--cov-config=")
"""What makes pytest write down which test runs which line. The project's configuration would spread that over files."""


class Reached:
    """The tests by the lines that they run, from the data that a run with ``OPTIONS`` has left in ``path``.

    Those in ``failed`` are none of them: there are some that measure time, which writing all lines down takes.
    """

    def __init__(self, path: Path, failed: Set[str] = frozenset()) -> None:
        self._failed = failed
        self._data = CoverageData(str(path))
        self._data.read()
        self._of_lines: dict[Path, dict[int, list[str]]] = {}

    def tests_of(self, module: Path, line: int) -> list[str] | None:
        """The tests that run the statement on a line of a module, by their pytest ids; none when no test does.

        ``None`` when it runs as the module is imported, once for all tests, so that data tell nothing.
        """
        contexts = self._contexts_of(module)
        lines = list(_statement(module.read_text("utf-8"), line))
        if any("" in contexts.get(number, ()) for number in lines):
            return None
        found = {context.rpartition("|")[0] for number in lines for context in contexts.get(number, ())}
        return sorted(found - self._failed)

    def of_all(self, tests: Sequence[str]) -> list[str]:
        """Arguments of pytest for all of some files and folders."""
        return [*tests, *(f"--deselect={test}" for test in sorted(self._failed))]

    def _contexts_of(self, module: Path) -> dict[int, list[str]]:
        if module not in self._of_lines:
            self._of_lines[module] = self._data.contexts_by_lineno(str(module.resolve()))
        return self._of_lines[module]


def _statement(source: str, line: int) -> Iterable[int]:
    """The lines of the innermost statement on a line; of one that holds others only what is before them."""
    inmost: range = range(line, line + 1)
    shortest = float("inf")
    for first, last in _spans(ast.parse(source)):
        if first <= line <= last and last - first < shortest:
            inmost, shortest = range(first, last + 1), last - first
    return inmost


def _spans(tree: ast.AST) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.match_case):
            yield node.pattern.lineno, node.body[0].lineno - 1
        elif isinstance(node, ast.stmt | ast.excepthandler):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
            yield node.lineno, max(node.lineno, last or node.lineno)
