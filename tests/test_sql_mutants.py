"""Which changes of SQL the tests are tried with."""

import sqlite3
from textwrap import dedent

from tests.matrices import together
from tests.proof.sql_mutants import mutations, sql_mutants


def _changed(sql: str) -> list[str]:
    changed = []
    for edits in mutations(sql):
        mutant = sql
        for at, old, new in reversed(edits):
            assert sql.startswith(old, at)
            mutant = mutant[:at] + new + mutant[at + len(old) :]
        changed.append(mutant)
    return sorted(changed)


@together(
    ("sql", "mutants"),
    [
        (
            "SELECT a FROM t WHERE a = ? AND b < ?",
            [
                "SELECT a FROM t WHERE (a = ? OR 1) AND b < ?",
                "SELECT a FROM t WHERE a <> ? AND b < ?",
                "SELECT a FROM t WHERE a = ? AND (b < ? OR 1)",
                "SELECT a FROM t WHERE a = ? AND b <= ?",
                "SELECT a FROM t WHERE a = ? AND b > ?",
                "SELECT a FROM t WHERE a = ? OR b < ?",
            ],
        ),
        (
            "SELECT a FROM t ORDER BY a DESC, b LIMIT ?1",
            [
                "SELECT a FROM t ORDER BY a , b LIMIT ?1",
                "SELECT a FROM t ORDER BY a DESC, b DESC LIMIT ?1",
                "SELECT a FROM t ORDER BY a DESC, b LIMIT ?1 + 1",
                "SELECT a FROM t ORDER BY a DESC, b LIMIT ?1 - 1",
            ],
        ),
        (
            "UPDATE t SET a = 1, b = ? WHERE c IS NOT NULL",
            [
                "UPDATE t SET a = 1, b = ? WHERE (c IS NOT NULL OR 1)",
                "UPDATE t SET a = 1, b = ? WHERE c IS  NULL",
                "UPDATE t SET a = 2, b = ? WHERE c IS NOT NULL",
            ],
        ),
        (
            "INSERT OR IGNORE INTO t SELECT a FROM u WHERE a IN (SELECT b FROM t) ON CONFLICT DO UPDATE SET a = 'x'",
            [
                "INSERT OR IGNORE INTO t SELECT a FROM u WHERE (a IN (SELECT b FROM t) OR 1)"
                " ON CONFLICT DO UPDATE SET a = 'x'",
                "INSERT OR IGNORE INTO t SELECT a FROM u WHERE a IN (SELECT b FROM t)"
                " ON CONFLICT DO UPDATE SET a = 'x~'",
                "INSERT OR IGNORE INTO t SELECT a FROM u WHERE a NOT IN (SELECT b FROM t)"
                " ON CONFLICT DO UPDATE SET a = 'x'",
                "INSERT OR IGNORE INTO t SELECT a FROM u WHERE a IN (SELECT b FROM t) ON CONFLICT DO NOTHING",
                "INSERT  INTO t SELECT a FROM u WHERE a IN (SELECT b FROM t) ON CONFLICT DO UPDATE SET a = 'x'",
            ],
        ),
        (
            "state < {DocumentState.GONE:d}",  # a part of other statements; the state after the last is the first
            [
                "(state < {DocumentState.GONE:d} OR 1)",
                "state < {DocumentState.STORING:d}",
                "state <= {DocumentState.GONE:d}",
                "state > {DocumentState.GONE:d}",
            ],
        ),
        ("a BETWEEN ? AND ? AND b IN (?)", [
            "(a BETWEEN ? AND ? OR 1) AND b IN (?)",
            "a BETWEEN ? AND ? AND (b IN (?) OR 1)",
            "a BETWEEN ? AND ? AND b NOT IN (?)",
            "a BETWEEN ? AND ? OR b IN (?)",
        ]),
        (
            "INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET b = b + 1 WHERE b > ? RETURNING b",
            [
                "INSERT INTO t VALUES (?) ON CONFLICT (a) DO NOTHING RETURNING b",
                "INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET b = b + 1 WHERE (b > ? OR 1) RETURNING b",
                "INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET b = b + 1 WHERE b < ? RETURNING b",
                "INSERT INTO t VALUES (?) ON CONFLICT (a) DO UPDATE SET b = b + 1 WHERE b >= ? RETURNING b",
            ],
        ),
        ("INSERT INTO t VALUES (?) ON CONFLICT (a) DO NOTHING RETURNING b", ["INSERT INTO t VALUES (?)  RETURNING b"]),
        (
            "SELECT coalesce(max(a, 1), 0), coalesce(b, c, 2) FROM t LEFT JOIN u USING (a)",
            [
                "SELECT coalesce(iif(0, max(a, 1), NULL), 0), coalesce(b, c, 2) FROM t LEFT JOIN u USING (a)",
                "SELECT coalesce(max(a, 1), 0), coalesce(b, c, 2) FROM t INNER JOIN u USING (a)",
                "SELECT coalesce(max(a, 1), 0), coalesce(iif(0, b, NULL), c, 2) FROM t LEFT JOIN u USING (a)",
                "SELECT nullif(max(a, 1), 0), coalesce(b, c, 2) FROM t LEFT JOIN u USING (a)",
            ],
        ),
        ("CREATE INDEX i ON t (a) WHERE a = 1", []),
        ("it cannot be read and has no name", []),
    ],
)  # fmt: skip
def test_each_change_says_something_else(sql: str, mutants: list[str]) -> None:
    assert _changed(sql) == sorted(mutants)


def test_what_is_made_of_a_statement_is_a_statement() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a, b, c)")
    sql = (
        "WITH u AS (SELECT a, max(b) AS b FROM t WHERE NOT (a = 1 OR b IS NULL) GROUP BY a HAVING count(*) > 1)"
        " UPDATE t SET c = CASE WHEN a >= 2 AND EXISTS (SELECT 1 FROM u WHERE u.a = t.a) THEN b ELSE c = b END"
        " FROM (SELECT u.b AS d FROM u LEFT JOIN t AS v ON v.a = u.a AND (v.b, v.c) > (1, 2) ORDER BY v.b LIMIT 3) AS w"
        " WHERE w.d <> t.b AND t.a NOT IN (1, 2) AND t.b <= coalesce(w.d, 4) RETURNING a, b"
    )
    mutants = _changed(sql)
    assert len(mutants) == len(set(mutants)) == 42
    for mutant in mutants:
        connection.execute(mutant)


def test_what_stands_in_several_literals_is_changed_where_it_stands() -> None:
    source = dedent('''
        """Rows WHERE a = 1 AND nothing else."""
        WORD = "…"; TEXT = (
            "SELECT a FROM t"  # all
            f" WHERE {WORD.strip('x')}"
            " AND b IS NOT"
            " NULL"
        )
        NEW = (
            "INSERT INTO t VALUES (?)"
            " ON CONFLICT"
            " DO NOTHING"
        )
    ''')
    lines = source.splitlines()
    changed = [
        [new.strip() for old, new in zip(lines, mutant.splitlines(), strict=True) if old != new]
        for mutant in sql_mutants(source)
    ]
    assert changed == [
        ["""f" WHERE ({WORD.strip('x')} OR 1)\""""],
        ['" OR b IS NOT"'],
        ['" AND b IS "'],
        ['" AND (b IS NOT"', '" NULL OR 1)"'],
        ['" "', '""'],
    ]
