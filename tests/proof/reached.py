"""Which tests run a line: so that a change of it is tried with these tests only."""

import ast
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

OPTIONS = ("--cov=phaseflow", "--cov-context=test", "--cov-report=", "--cov-config=")
"""What makes pytest write down which test runs which line. The project's configuration would spread that over files."""


class Reached:
    """The tests by the lines that they run, from the data that a run with ``OPTIONS`` has left in ``path``.

    Those in ``failed`` are none of them: there are some that measure time, which writing all lines down takes. Raises
    ValueError where nothing says which test has run what: then no change would be tried with any.
    """

    def __init__(self, path: Path, failed: Set[str] = frozenset()) -> None:
        from coverage import CoverageData

        self._failed = failed
        self._data = CoverageData(str(path))
        self._data.read()
        if not any(self._data.measured_contexts()):
            raise ValueError(f"{path} says of no line which test has run it")
        self._of_lines: dict[Path, dict[int, list[str]]] = {}

    def tests_of(self, module: Path, line: int) -> list[str] | None:
        """The tests that run the statement on a line of a module, by their pytest ids; none when no test does.

        Of one that gives a name to a value as the module is imported, those that run a line that names it, or another
        value that is made of it. ``None`` for any other that runs then, once for all tests, so that data tell nothing.
        """
        found = self._contexts_at(module, _statement(module.read_text("utf-8"), line))
        if "" in found and (name := _constant(module.read_text("utf-8"), line)):
            found = self._contexts_of_name(name, {name})
        if "" in found:
            return None
        return sorted({context.rpartition("|")[0] for context in found} - self._failed)

    def tests_around(self, module: Path, line: int) -> list[str]:
        """The tests that run any line of the innermost function on a line, but not its statement as far as is known.

        Python 3.11 traces a coroutine no further into which an exception was thrown: that of a wait that is over, for
        example. So what comes after it may be run by tests that ``tests_of`` does not name.
        """
        function = _function(module.read_text("utf-8"), line)
        found = self._contexts_at(module, function) - {""}
        known = self.tests_of(module, line) or ()
        return sorted({context.rpartition("|")[0] for context in found} - self._failed - {*known})

    def of_all(self, tests: Sequence[str]) -> list[str]:
        """Arguments of pytest for all of some files and folders."""
        return [*tests, *(f"--deselect={test}" for test in sorted(self._failed))]

    def _contexts_at(self, module: Path, lines: Iterable[int]) -> set[str]:
        contexts = self._contexts_of(module)
        return {context for number in lines for context in contexts.get(number, ())}

    def _contexts_of_name(self, name: str, known: set[str]) -> set[str]:
        found = set()
        for path, lines in self._users_of(name):
            contexts = self._contexts_at(path, lines)
            made_of_it = _constant(path.read_text("utf-8"), next(iter(lines)))
            if "" in contexts and made_of_it is not None:
                contexts.discard("")
                if made_of_it not in known:
                    known.add(made_of_it)
                    contexts |= self._contexts_of_name(made_of_it, known)
            found |= contexts
        return found

    def _users_of(self, name: str) -> Iterator[tuple[Path, Iterable[int]]]:
        """The statements that read a name, in all modules that were looked at: one of another module may be meant."""
        for path in sorted(map(Path, self._data.measured_files())):
            source = path.read_text("utf-8")
            for node in ast.walk(ast.parse(source)) if name in source else ():
                is_read = isinstance(getattr(node, "ctx", None), ast.Load)
                if is_read and name in {getattr(node, "id", None), getattr(node, "attr", None)}:
                    yield path, _statement(source, node.lineno)  # type: ignore[attr-defined]  # an expression has one

    def _contexts_of(self, module: Path) -> dict[int, list[str]]:
        if module not in self._of_lines:
            self._of_lines[module] = self._data.contexts_by_lineno(str(module.resolve()))
        return self._of_lines[module]


def _constant(source: str, line: int) -> str | None:
    """The name that a statement of a module's own gives to a value; None for any other statement."""
    for node in ast.parse(source).body:
        if node.lineno <= line <= (node.end_lineno or line):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None
    return None


def _statement(source: str, line: int) -> Iterable[int]:
    """The lines of the innermost statement on a line; of one that holds others only what is before them."""
    inmost: range = range(line, line + 1)
    shortest = float("inf")
    for first, last in _spans(ast.parse(source)):
        if first <= line <= last and last - first < shortest:
            inmost, shortest = range(first, last + 1), last - first
    return inmost


def _function(source: str, line: int) -> Iterable[int]:
    """The lines in the innermost function on a line, its ``def`` excluded, which runs as the module is imported."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    around = [node for node in functions if node.lineno <= line <= (node.end_lineno or line)]
    if not around:
        return ()
    inmost = max(around, key=lambda node: node.lineno)
    return range(inmost.body[0].lineno, (inmost.end_lineno or line) + 1)


def _spans(tree: ast.AST) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.match_case):
            yield node.pattern.lineno, node.body[0].lineno - 1
        elif isinstance(node, ast.stmt | ast.excepthandler):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
            yield node.lineno, max(node.lineno, last or node.lineno)
