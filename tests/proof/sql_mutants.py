"""Mutants of the SQL in the strings of a module, each of which is one constant to a tool that reads Python.

A comparison turned round, AND for OR, a condition that always holds, the other order, a limit that is one more or less,
another constant; a value without its substitute, or the substitute alone; a join that leaves rows out; a conflict that
fails, or changes nothing. What would be no SQL is not made: it fails wherever it runs, and so says nothing about the
tests.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate

from phaseflow.store import states

_LITERAL = re.compile(r"""[fFrRbBuU]*("{3}|'{3}|["'])(.*?)(?<!\\)\1""", re.DOTALL)
_BRACES = re.compile(r"\{[^{}]*\}")
_QUOTED = re.compile(r"'[^']*'")
_TOKEN = re.compile(r"'[^']*'|\?\d*|\d+|\w+(?:\.\w+)*|->>|->|<<|>>|\|\||<=|>=|<>|[^\s\w]")
_SQL = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WHERE|EXISTS|ORDER BY|IN|IS|AND) |^(\w+\.)?\w+ (=|<>|<|>|<=|>=) \S"
)
_NO_QUERY = re.compile(r"\s*(PRAGMA|CREATE|ALTER|DROP|ATTACH|DETACH|VACUUM|BEGIN|ANALYZE)\b")
_STATE = re.compile(r"\{(\w+)\.([A-Z_]+)(?=(:d)?\})")
_TEST = re.compile(r" (=|<>|<=?|>=?|IN|IS|BETWEEN) |EXISTS")
_OTHER = {
    "=": ("<>",), "<>": ("=",), "<": ("<=", ">"), "<=": ("<", ">"), ">": (">=", "<"), ">=": (">", "<"),
    "AND": ("OR",), "OR": ("AND",),
}  # fmt: skip
_NEGATED = ("IN", "EXISTS", "NULL")
"""What says the opposite with NOT before it."""
_CONDITIONS = ("WHERE", "ON", "WHEN", "HAVING")
_CLAUSES = (
    *_CONDITIONS, "SELECT", "FROM", "SET", "VALUES", "RETURNING", "ORDER", "GROUP", "LIMIT", "OFFSET", "JOIN", "LEFT",
    "INNER", "CROSS", "UNION", "INSERT", "UPDATE", "DELETE", "WITH", "CONFLICT", "THEN", "ELSE",
)  # fmt: skip
_BEGINNINGS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CASE", "REPLACE")

Edit = tuple[int, str, str]
"""Where in the text, what stands there, and what comes in its place."""


@dataclass(slots=True)
class _Level:
    """What stands in one pair of brackets, or between CASE and END: its clause, and where the operand began."""

    clause: str
    operand: int | None = None
    commas: bool = False
    is_between: bool = False
    is_sorted: bool = False
    """In the terms of ORDER BY."""
    is_part: bool = False
    """The text itself, where it may be a condition to be put into others."""
    substituted: int | None = None
    """Where ``coalesce`` stands whose values these are, of which there is one so far."""
    upsert: int | None = None
    """Where the clause begins that says what becomes of a row that is there."""


@dataclass(slots=True)
class _Reader:
    """Goes through one SQL text once, and collects what can be changed in it."""

    text: str
    edits: list[list[Edit]] = field(default_factory=list)
    _levels: list[_Level] = field(default_factory=list)

    def read(self) -> list[list[Edit]]:
        tokens = [(match.group(), match.start()) for match in _TOKEN.finditer(self.text)]
        if not tokens:
            return []
        is_part = tokens[0][0] not in _BEGINNINGS
        self._levels = [_Level("WHERE" if is_part else "", is_part=is_part)]
        ends = [start + len(token) for token, start in tokens]
        for (before, _), (token, start), end in zip([("", 0), *tokens], tokens, [0, *ends], strict=False):
            self._take(before, token, start, end)
        while self._levels:
            self._end_of_text(ends[-1])
            self._levels.pop()
        return self.edits

    def _take(self, before: str, token: str, start: int, end: int) -> None:
        """``end``: where the token before this one ended."""
        level = self._levels[-1]
        if level.operand is None and level.clause in _CONDITIONS and token not in ("AND", "OR"):
            level.operand = start
        if token in ("(", "CASE"):
            self._begin(before, token, start)
        elif token in (")", "END"):
            self._end(end)
            if len(self._levels) > 1:
                self._levels.pop()
        elif token in _CLAUSES:
            level.operand = None if level.is_part else level.operand
            self._end(end)
            self._take_clause(level, before, token, start, end)
            level.clause, level.commas, level.is_part = token, False, False
        elif token == "BETWEEN":
            level.is_between = True
        elif token == ",":
            level.commas = level.clause in _CONDITIONS
            self._end_of_term(end)
            if level.substituted is not None:
                self._substitute(level, start)
        elif token == "BY" and level.clause == "ORDER":
            level.is_sorted = True
        elif token == "AND" and level.is_between:
            level.is_between = False
        else:
            self._change(level, before, token, start, end)

    def _begin(self, before: str, token: str, start: int) -> None:
        is_condition = token == "(" and before in (*_CONDITIONS, "AND", "OR", "NOT", "(", "")
        self._levels.append(_Level("WHERE" if is_condition else ""))
        if before == "coalesce":
            self._levels[-1].substituted = start - len(before)

    def _take_clause(self, level: _Level, before: str, token: str, start: int, end: int) -> None:
        if token == "LEFT":
            self.edits.append([(start, "LEFT", "INNER")])
        elif token == "UPDATE" and before == "DO":
            level.upsert = start
        elif token == "RETURNING":
            self._end_of_upsert(end)

    def _substitute(self, level: _Level, comma: int) -> None:
        """The first values of ``coalesce`` are over, or there are more than two of them."""
        if level.clause == "substitute":
            level.substituted = None
        elif level.substituted is not None:
            level.clause = "substitute"
            self.edits.append([(level.substituted + len("coalesce("), "", "iif(0, "), (comma, "", ", NULL)")])

    def _end_of_upsert(self, end: int) -> None:
        level = self._levels[-1]
        begin, level.upsert = level.upsert, None
        if begin is not None:
            self.edits.append([(begin, self.text[begin:end], "NOTHING")])

    def _change(self, level: _Level, before: str, token: str, start: int, end: int) -> None:
        if before in ("INSERT", "UPDATE"):
            return  # OR
        if token in ("IGNORE", "REPLACE") and before == "OR":
            self.edits.append([(self.text.rindex("OR", 0, start), f"OR {token}", "")])
        if token == "NOTHING":
            begin = self.text.rindex("ON CONFLICT", 0, start)
            self.edits.append([(begin, self.text[begin : start + len(token)], "")])
        if token in ("AND", "OR"):
            self._end_of_operand(end)
        if token in _OTHER and not (token == "=" and level.clause == "SET"):
            self.edits += [[(start, token, other)] for other in _OTHER[token]]
        elif token in _NEGATED and before == "NOT":
            self.edits.append([(self.text.rindex("NOT", 0, start), "NOT", "")])
        elif token in _NEGATED and (token != "NULL" or before == "IS"):
            self.edits.append([(start, "", "NOT ")])
        elif before in _OTHER and token[0] == "'":
            self.edits.append([(start + len(token) - 1, "", "~")])
        elif before in _OTHER and token.isdecimal():
            self.edits.append([(start, token, str(int(token) + 1))])
        elif before == "LIMIT" and not self.text.startswith("(", start + len(token)):
            self.edits += [[(start + len(token), "", by)] for by in (" + 1", " - 1")]

    def _end(self, end: int) -> None:
        """A clause is over where the token before this one ended."""
        self._end_of_operand(end)
        self._end_of_term(end)
        level = self._levels[-1]
        level.is_sorted = False
        if level.substituted is not None and level.clause == "substitute":
            self.edits.append([(level.substituted, "coalesce", "nullif")])  # NULL where the first value is

    def _end_of_text(self, end: int) -> None:
        self._end(end)
        self._end_of_upsert(end)

    def _end_of_operand(self, end: int) -> None:
        level = self._levels[-1]
        begin, level.operand = level.operand, None
        if begin is None or level.commas or end <= begin:
            return
        if not level.is_part or _TEST.search(self.text, begin, end):
            self.edits.append([(begin, "", "("), (end, "", " OR 1)")])

    def _end_of_term(self, end: int) -> None:
        if self._levels[-1].is_sorted:
            is_down = self.text.endswith(" DESC", 0, end)
            self.edits.append([(end - 4, "DESC", "")] if is_down else [(end, "", " DESC")])


def mutations(sql: str) -> list[list[Edit]]:
    """The changes of a text of SQL, each of some edits. What stands in braces is taken for a name, or a condition."""
    masked = _QUOTED.sub(lambda found: f"'{'x' * (len(found.group()) - 2)}'", sql)
    masked = _BRACES.sub(lambda found: "x" * len(found.group()), masked)
    if not _SQL.search(masked) or _NO_QUERY.match(masked):
        return []
    edits = _Reader(masked).read()
    edits = [[(at, sql[at : at + len(old)], new) for at, old, new in each] for each in edits]
    return edits + [[(found.start(2), found.group(2), other)] for found, other in _other_states(sql)]


def _other_states(sql: str) -> Iterator[tuple[re.Match[str], str]]:
    for found in _STATE.finditer(sql):
        kind = getattr(states, found.group(1), None)
        if isinstance(kind, type) and issubclass(kind, IntEnum):
            names = [state.name for state in kind]
            yield found, names[(names.index(found.group(2)) + 1) % len(names)]


def sql_mutants(source: str) -> Iterator[str]:
    """The source with each of the changes of its SQL."""
    for pieces in _texts(source):
        sql = "".join(text for _, text in pieces)
        places = [begin + n for begin, text in pieces for n in range(len(text))]
        for edits in mutations(sql):
            mutated = source
            for at, old, new in reversed(edits):
                place = places[at] if at < len(places) and (old or at == 0) else places[at - 1] + 1
                for gone in reversed(places[at : at + len(old)]):
                    mutated = mutated[:gone] + mutated[gone + 1 :]
                mutated = mutated[:place] + new + mutated[place:]
            yield mutated


def _texts(source: str) -> Iterator[list[tuple[int, str]]]:
    """The strings of a module but its docstrings: of each, the literals it is made of, and where their texts begin."""
    lines = source.split("\n")
    begins = [0, *accumulate(len(line) + 1 for line in lines)]

    def place(line: int | None, column: int | None) -> int:
        assert line is not None
        return begins[line - 1] + len(lines[line - 1].encode()[:column].decode())

    nodes = list(ast.walk(ast.parse(source)))
    left_out = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    left_out |= {
        id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node
    }
    for node in nodes:
        if id(node) in left_out or not isinstance(node, ast.JoinedStr | ast.Constant):
            continue
        if isinstance(node, ast.JoinedStr) or isinstance(node.value, str):
            begin = place(node.lineno, node.col_offset)
            written = source[begin : place(node.end_lineno, node.end_col_offset)]
            yield [(begin + found.start(2), found.group(2)) for found in _LITERAL.finditer(written)]
