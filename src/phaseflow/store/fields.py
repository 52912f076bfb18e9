"""Which documents a filter lets through: built-in fields from their rows, metadata from ``document_fields``."""

import json
from collections.abc import Sequence
from typing import Final, TypeGuard

from phaseflow.domain.filters import BUILT_IN, Comparison, Filter, Scalar
from phaseflow.domain.globs import literal_prefix
from phaseflow.store.passages import Scope
from phaseflow.store.states import IS_SEARCHABLE
from phaseflow.store.transaction import Transaction

_OPERATORS: Final = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
# The stamp of a file is its size and when it was changed, in nanoseconds.
_MODIFIED: Final = (
    "(SELECT strftime('%Y-%m-%dT%H:%M:%fZ', CAST(substr(d.stamp, instr(d.stamp, ':') + 1) AS INTEGER) / 1e9,"
    " 'unixepoch') WHERE d.stamp GLOB '[0-9]*:[0-9]*')"
)
_LAST: Final = "\U0010ffff"
TRUE, FALSE = "\x01true", "\x01false"
"""Booleans as ``document_fields`` has them: no text is one."""
_FIRST_ROUNDED: Final = 2.0**53
"""From here on several whole numbers share a float."""
_NUMBER: Final = "f.number"
_EXACT: Final = (
    "(SELECT m.atom FROM documents AS w, json_each(w.metadata) AS m WHERE w.id = f.document_id AND m.key = f.key)"
)
"""A number as the metadata has it. ``document_fields`` has the nearest float, which finds it fast."""
_IS_TEXT: Final = f"{{}} NOT IN ('{TRUE}', '{FALSE}')"


def matching(tx: Transaction, scope: Scope, wanted: Filter) -> str:
    """The ids of the searchable documents that a filter lets through, with commas between them."""
    sql, values = _statement(scope, wanted)
    return tx.value(sql, *values) or ""


def _statement(scope: Scope, wanted: Filter) -> tuple[str, list[Scalar]]:
    """The SQL of ``matching``, and its values."""
    values: list[Scalar] = [scope.kb_key, scope.index_version]
    condition = _condition(wanted, scope, values)
    return (
        "SELECT group_concat(d.id) FROM documents AS d WHERE d.kb_id = ? AND d.index_version = ?"
        f" AND d.{IS_SEARCHABLE} AND {condition}",
        values,
    )


def _condition(wanted: Filter, scope: Scope, values: list[Scalar]) -> str:
    if isinstance(wanted, Comparison):
        is_opposite = wanted.type in ("ne", "nin")
        condition = _comparison(wanted, scope, values)
        return f"NOT coalesce({condition}, 0)" if is_opposite else condition
    word = f" {wanted.type.upper()} "
    return f"({word.join(_condition(each, scope, values) for each in wanted.filters)})"


def _comparison(wanted: Comparison, scope: Scope, values: list[Scalar]) -> str:
    if not wanted.values:
        return "0"
    if wanted.key in BUILT_IN:
        column = _MODIFIED if wanted.key == "modified_at" else f"d.{wanted.key}"
        return _compared(wanted, column, column, values)
    values += [scope.kb_key, wanted.key]
    compared = _compared(wanted, "f.text", _NUMBER, values)
    return f"d.id IN (SELECT f.document_id FROM document_fields AS f WHERE f.kb_id = ? AND f.key = ? AND {compared})"


def _compared(wanted: Comparison, text: str, number: str, values: list[Scalar]) -> str:
    if wanted.type == "glob":
        pattern = str(wanted.values[0])
        prefix = literal_prefix(pattern)
        values += [prefix, prefix + _LAST, pattern]
        return f"({text} >= ? AND {text} <= ? AND {_IS_TEXT.format(text)} AND globs({text}, ?))"
    if wanted.type in ("in", "nin", "eq", "ne"):
        texts = [_text(value) for value in wanted.values if isinstance(value, (str, bool))]
        numbers = [value for value in wanted.values if not isinstance(value, (str, bool))]
        exact = number == _NUMBER and any(map(_is_rounded, numbers))
        near = [float(value) for value in numbers] if exact else numbers
        some = [_one_of(column, given, values) for column, given in ((text, texts), (number, near)) if given]
        if exact:
            some[-1] += f" AND {_EXACT} IN (SELECT value FROM json_each(?))"
            values.append(json.dumps(numbers))
        return f"({' OR '.join(some)})"
    (value,) = wanted.values
    if number == _NUMBER and _is_rounded(value):
        strict = _OPERATORS[wanted.type][0]
        values += [float(value), float(value), value]
        return f"{number} {strict}= ? AND ({number} {strict} ? OR {_EXACT} {_OPERATORS[wanted.type]} ?)"
    values.append(value)
    operator = _OPERATORS[wanted.type]
    return f"({text} {operator} ? AND {_IS_TEXT.format(text)})" if isinstance(value, str) else f"{number} {operator} ?"


def _one_of(column: str, given: Sequence[Scalar], values: list[Scalar]) -> str:
    values += given
    return f"{column} IN ({', '.join('?' * len(given))})"


def _is_rounded(value: Scalar) -> TypeGuard[int | float]:
    """Whether a whole number beside it, or itself, may be the same float."""
    return not isinstance(value, str) and abs(float(value)) >= _FIRST_ROUNDED


def _text(value: str | bool) -> str:
    if isinstance(value, str):
        return value
    return TRUE if value else FALSE
