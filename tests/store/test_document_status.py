"""Where each document stands, derived from whatever rows there are about it."""

import json
import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.identifiers import document_id
from phaseflow.domain.vocabulary import DocumentStatus, JobPhase
from phaseflow.store import document_counts, document_status
from phaseflow.store.connection import holds
from phaseflow.store.database import Database
from phaseflow.store.document_status import View, Wanted
from phaseflow.store.session import open_session
from phaseflow.store.states import DocumentState
from phaseflow.store.transaction import Transaction
from tests.matrices import first_of_each
from tests.store.probes import Plans
from tests.store.stock import Stock, stock

AT = "2026-01-0{}T00:00:00.000Z"


@dataclass(frozen=True)
class Known:
    """What the tables say about one uri."""

    uri: str
    skipped: bool = False
    requested: bool = False
    entry: int | None = None
    in_hand: int | None = None
    of_older_job: int | None = None
    failed: bool = False
    live: bool = False
    rebuilt: bool = False

    def status(self, *, is_cancelled: bool) -> DocumentStatus:
        """The rule in words: skipped, asked for or unread, in hand, failed, searchable."""
        if self.skipped:
            return DocumentStatus.SKIPPED
        if self.requested or self.entry == 0:
            return DocumentStatus.QUEUED
        if self.in_hand is not None:
            return DocumentStatus.QUEUED if is_cancelled else DocumentStatus.PROCESSING
        if self.failed:
            return DocumentStatus.FAILED
        if self.live:
            return DocumentStatus.INDEXED
        return DocumentStatus.PROCESSING if self.rebuilt else DocumentStatus.QUEUED


def drawn(seed: int, *, rebuilding: bool) -> list[Known]:
    chance = random.Random(seed)  # noqa: S311  # drawn again by its seed, not secret
    return [
        Known(
            uri=f"{chance.choice('abc')}/{n:03}.md",
            skipped=chance.random() < 0.1,
            requested=chance.random() < 0.1,
            entry=chance.choice([None, 0, 1, 2, 3, 5]),
            in_hand=chance.choice([None, None, 0, 1, 2, 3]),
            of_older_job=chance.choice([None, None, None, 2]),
            failed=chance.random() < 0.3,
            live=chance.random() < 0.5,
            rebuilt=rebuilding and chance.random() < 0.3,
        )
        for n in range(60)
    ]


def fill(path: Path, made: Stock, known: list[Known], *, is_cancelled: bool, rebuilding: bool) -> None:
    version = (
        "INSERT INTO documents (kb_id, job_seq, index_version, uri, title, media_type, content_hash, recipe, state)"
        " VALUES (?, ?, ?, ?, 'T', 'text/plain', '00', 'r', ?)"
    )
    with closing(sqlite3.connect(path)) as connection:
        for one in known:
            connection.execute(
                "INSERT INTO catalogue (kb_id, uri, document_id, skipped, created_at) VALUES (?, ?, ?, ?, ?)",
                (made.key, one.uri, document_id("kb", one.uri), one.skipped, AT.format(1)),
            )
            if one.requested:
                connection.execute(
                    "INSERT INTO requests (kb_id, uri, requested_at) VALUES (?, ?, ?)",
                    (made.key, one.uri, AT.format(2)),
                )
            if one.entry is not None:
                connection.execute(
                    "INSERT INTO job_entries (job_seq, uri, state) VALUES (?, ?, ?)", (made.seq, one.uri, one.entry)
                )
            if one.of_older_job is not None:
                connection.execute(version, (made.key, made.seq - 1, 1, one.uri, one.of_older_job))
            if one.in_hand is not None:
                connection.execute(version, (made.key, made.seq, 1, one.uri, one.in_hand))
            if one.live:
                connection.execute(version, (made.key, made.seq, 1, one.uri, DocumentState.SEARCHABLE))
            if one.rebuilt:
                connection.execute(version, (made.key, made.seq, 2, one.uri, DocumentState.SEARCHABLE))
            if one.failed:
                connection.execute(
                    "INSERT INTO failures VALUES (?, ?, ?, 'embedding', 'bad', 'it is bad', 3, ?)",
                    (made.key, one.uri, made.seq, AT.format(3)),
                )
        if is_cancelled:
            connection.execute("UPDATE ingestion_jobs SET cancelled_at = ? WHERE seq = ?", (AT.format(4), made.seq))
        if rebuilding:
            connection.execute("UPDATE ingestion_jobs SET index_version = 2 WHERE seq = ?", (made.seq,))
        connection.commit()


async def listed(database: Database, seen: View, wanted: Wanted, limit: int) -> list[DocumentInfo]:
    """All pages of a list."""
    found: list[DocumentInfo] = []
    after: str | None = ""
    while after is not None:
        page, after = await database.read(partial(seen.page, wanted=wanted, limit=limit, after=after))
        assert len(page) <= limit
        found += page
    return found


SEEDS = [(1, False, False), (4, True, True), (2, True, False), (3, False, True), (5, False, False)]
"""Of what is drawn; whether its job was cancelled; whether its index is made anew."""


@pytest.fixture(params=first_of_each([(seed,) for seed in SEEDS], lambda case: case[0][2]))
async def case(request: pytest.FixtureRequest, path: Path) -> tuple[Path, Stock, list[Known], bool]:
    seed, is_cancelled, rebuilding = request.param
    async with open_session(path) as database:
        await stock(database, job_id="older")
        made = await stock(database)
    known = drawn(seed, rebuilding=rebuilding)
    fill(path, made, known, is_cancelled=is_cancelled, rebuilding=rebuilding)
    return path, made, known, is_cancelled


async def test_status_lists_and_counts_agree_with_the_rule_whatever_the_rows(
    case: tuple[Path, Stock, list[Known], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, made, known, is_cancelled = case
    expected = {one.uri: one.status(is_cancelled=is_cancelled) for one in known}
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        for limit in (7, 1000):
            found = await listed(database, seen, Wanted(), limit)
            assert [(one.uri, one.status) for one in found] == sorted(expected.items())
            for status in DocumentStatus:
                of_status = await listed(database, seen, Wanted(status), limit)
                assert [one.uri for one in of_status] == sorted(u for u, s in expected.items() if s == status)
        for few in (0, document_counts.FEW, 1000):  # all looked up, some, all merged
            monkeypatch.setattr(document_counts, "FEW", few)
            counts = await database.read(lambda tx: document_counts.counts(tx, seen))
            assert {s: n for s, n in counts.model_dump().items() if n} == Counter(expected.values())
        assert [one.searchable for one in found] == [one.live for one in sorted(known, key=lambda k: k.uri)]


@pytest.mark.parametrize(
    ("scan", "scans", "stride"),
    [(1, 1, 1), (3, 2, 7), (200, 1, 4), (2, 50, 1000)],
)
async def test_lists_hold_the_same_however_little_a_page_looks_at(
    case: tuple[Path, Stock, list[Known], bool], monkeypatch: pytest.MonkeyPatch, scan: int, scans: int, stride: int
) -> None:
    for name, value in (("SCAN", scan), ("SCANS", scans), ("STRIDE", stride)):
        monkeypatch.setattr(document_status, name, value)
    path, made, known, is_cancelled = case
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        for status in DocumentStatus:
            found = await listed(database, seen, Wanted(status), 2)
            assert [one.uri for one in found] == sorted(
                one.uri for one in known if one.status(is_cancelled=is_cancelled) == status
            )


FULL = re.compile(
    r"SCAN (catalogue|documents|job_entries|requests|failures|pushed|[cdeflopr])\b|AUTOMATIC|(UNION|EXCEPT) USING TEMP"
)
"""In a plan: a table read from one end to the other, or collected and sorted."""


async def test_a_list_looks_into_each_table_by_uri(case: tuple[Path, Stock, list[Known], bool]) -> None:
    path, made, _, _ = case
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("holds", 2, holds)
        seen = View.now(Transaction(connection), made.key, 1)
        for status in (None, *DocumentStatus):
            plans = Plans(connection)
            seen.page(plans, Wanted(status), 10)
            looks = [line for line in plans.lines if re.match(r"SEARCH \w+ USING", line)]
            assert looks
            assert [line for line in looks if not re.search(r"uri[=><]|rowid=", line)] == []
            assert [line for line in plans.lines if FULL.search(line)] == []


async def test_the_counts_judge_only_what_the_indexes_name(case: tuple[Path, Stock, list[Known], bool]) -> None:
    path, made, _, _ = case
    with closing(sqlite3.connect(path)) as connection:
        plans = Plans(connection)
        document_counts.counts(plans, View.now(Transaction(connection), made.key, 1))
    whole = ("documents_by_kb", "PRIMARY KEY (kb_id=?)")
    assert [line for line in plans.lines if FULL.search(line) or any(name in line for name in whole)] == []


async def test_looking_for_the_few_that_are_queued_ends_after_a_bounded_part_with_a_cursor(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_status, "STRIDE", 10)
    monkeypatch.setattr(document_status, "LOOK_LONGER_S", 0)
    async with open_session(path) as database:
        made = await stock(database)
    known = [Known(f"{n:02}", live=True) for n in range(30)]
    fill(path, made, [*known, Known("last.md")], is_cancelled=False, rebuilding=False)
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        wanted = Wanted(DocumentStatus.QUEUED)
        page, after = await database.read(lambda tx: seen.page(tx, wanted, 3))
        assert (page, after) == ([], "09")
        assert [one.uri for one in await listed(database, seen, wanted, 3)] == ["last.md"]


async def test_that_none_is_queued_is_found_by_counting_where_all_that_were_not_skipped_are_searchable(
    path: Path,
) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    known = [
        Known("a", live=True),
        Known("b", skipped=True),
        Known("c", skipped=True, live=True),
        Known("d", live=True),
    ]
    fill(path, made, known, is_cancelled=False, rebuilding=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("holds", 2, holds)
        seen = View.now(Transaction(connection), made.key, 1)
        counted = Plans(connection)
        assert seen.page(counted, Wanted(DocumentStatus.QUEUED), 10) == ([], None)
        connection.execute("DELETE FROM documents WHERE uri = 'd'")
        merged = Plans(connection)
        found, _ = seen.page(merged, Wanted(DocumentStatus.QUEUED), 10)
    assert [one.uri for one in found] == ["d"]
    assert [any("EXCEPT" in line for line in plans.lines) for plans in (counted, merged)] == [False, True]


async def test_a_document_is_found_by_its_id_and_by_its_uri(case: tuple[Path, Stock, list[Known], bool]) -> None:
    path, made, known, is_cancelled = case
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        for one in known:
            name = document_id("kb", one.uri)
            by_id = await database.read(partial(seen.find, name=name))
            by_uri = await database.read(partial(seen.find, name=one.uri))
            assert by_id is not None
            assert by_id == by_uri
            assert (by_id.uri, by_id.status) == (one.uri, one.status(is_cancelled=is_cancelled))
        assert await database.read(lambda tx: seen.find(tx, "nobody")) is None


async def test_a_failure_tells_its_phase_and_reason_and_who_is_in_hand_the_phase_that_has_it_next(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    bad, staged = Known("bad", failed=True, live=True), Known("new", in_hand=DocumentState.LOADED, failed=True)
    fill(path, made, [bad, staged], is_cancelled=False, rebuilding=False)
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        first, second = await listed(database, seen, Wanted(), 10)
    assert (first.status, first.phase, first.code, first.error) == ("failed", JobPhase.EMBEDDING, "bad", "it is bad")
    assert first.searchable
    assert first.attempts == 3
    assert f"{first.updated_at:%d}" == "03"
    assert (second.status, second.phase, second.code) == ("processing", JobPhase.CHUNKING, None)
    assert not second.searchable


async def test_a_document_that_waits_for_a_new_index_to_be_used_is_in_indexing(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    fill(path, made, [Known("a", rebuilt=True)], is_cancelled=False, rebuilding=True)
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        (one,) = await listed(database, seen, Wanted(), 10)
    assert (one.status, one.phase) == ("processing", JobPhase.INDEXING)


async def test_metadata_that_was_given_goes_over_that_of_the_document_or_in_its_place(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    fill(path, made, [Known(u, live=True) for u in "abc"], is_cancelled=False, rebuilding=False)
    with closing(sqlite3.connect(path)) as connection:
        own, given = json.dumps({"author": "A", "year": 2020}), json.dumps({"year": 2021})
        connection.execute("UPDATE documents SET own_metadata = ?", (own,))
        connection.execute("UPDATE catalogue SET metadata = ?, replaces = uri = 'c' WHERE uri > 'a'", (given,))
        connection.commit()
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        found = await listed(database, seen, Wanted(), 10)
    assert [one.metadata for one in found] == [
        {"author": "A", "year": 2020},
        {"author": "A", "year": 2021},
        {"year": 2021},
    ]


async def test_a_filter_that_finds_little_ends_after_a_bounded_look_with_a_cursor(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_status, "SCAN", 5)
    monkeypatch.setattr(document_status, "SCANS", 2)
    monkeypatch.setattr(document_status, "LOOK_LONGER_S", 0)
    async with open_session(path) as database:
        made = await stock(database)
    known = [Known(f"{n:02}", live=True) for n in range(30)]
    fill(path, made, [*known, Known("last.md", live=True)], is_cancelled=False, rebuilding=False)
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        page, after = await database.read(lambda tx: seen.page(tx, Wanted(part="LAST"), 3))
        assert (page, after) == ([], "09")
        assert [one.uri for one in await listed(database, seen, Wanted(part="LAST"), 3)] == ["last.md"]


async def test_what_is_not_of_this_knowledge_base_is_not_seen(path: Path) -> None:
    async with open_session(path) as database:
        made, other = await stock(database), await stock(database, "other", "other")
    fill(path, made, [Known("a", live=True)], is_cancelled=False, rebuilding=False)
    fill(path, other, [replace(Known("a"), skipped=True)], is_cancelled=False, rebuilding=False)
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        assert [one.status for one in await listed(database, seen, Wanted(), 10)] == ["indexed"]
        assert (await database.read(lambda tx: document_counts.counts(tx, seen))).skipped == 0


class Ticking:
    """A clock of the processor that goes on by so much with each look."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 100.0

    def thread_time(self) -> float:
        self.now += self.seconds
        return self.now


@pytest.mark.parametrize(
    ("tick", "found", "after"),
    [
        (0.0, ["a", "b", "c"], "c"),  # no time passes: a full page
        (document_status.LOOK_S, ["a"], "a"),  # with some, no longer than for more of them
        (document_status.LOOK_S * 0.51, ["a", "b"], "b"),
        (document_status.LOOK_S * 0.49, ["a", "b", "c"], "c"),
    ],
)
async def test_a_page_looks_for_more_as_long_as_it_may_and_ends_when_it_is_full(
    path: Path, monkeypatch: pytest.MonkeyPatch, tick: float, found: list[str], after: str
) -> None:
    for name, value in (("SCAN", 1), ("SCANS", 1)):
        monkeypatch.setattr(document_status, name, value)
    monkeypatch.setattr(document_status, "time", Ticking(tick))
    async with open_session(path) as database:
        made = await stock(database)
    fill(path, made, [Known(uri, live=True) for uri in "abcde"], is_cancelled=False, rebuilding=False)
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        page, going_on = await database.read(lambda tx: seen.page(tx, Wanted(DocumentStatus.INDEXED), 3))
    assert ([one.uri for one in page], going_on) == (found, after)


@pytest.mark.parametrize(("tick", "found"), [(0.2, 0), (0.05, 0), (0.0126, 0), (0.0124, 1), (0.0, 1)])
async def test_a_page_that_has_found_nothing_looks_longer(
    path: Path, monkeypatch: pytest.MonkeyPatch, tick: float, found: int
) -> None:
    for name, value in (("SCAN", 1), ("SCANS", 1)):
        monkeypatch.setattr(document_status, name, value)
    monkeypatch.setattr(document_status, "time", Ticking(tick))
    async with open_session(path) as database:
        made = await stock(database)
    known = [*(Known(uri) for uri in "abcd"), Known("e", live=True)]  # the fifth look finds it
    fill(path, made, known, is_cancelled=False, rebuilding=False)
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        page, after = await database.read(lambda tx: seen.page(tx, Wanted(part="E"), 3))
    assert len(page) == found
    assert found or after is not None


async def test_a_document_is_shown_with_all_that_is_known_of_it(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    known = [
        Known("dir/live.md", live=True), Known("dir/new/", in_hand=DocumentState.EMBEDDED),
        Known("failed", failed=True), Known("/"), Known("tried", live=True),
    ]  # fmt: skip
    fill(path, made, known, is_cancelled=False, rebuilding=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE documents SET title = '', chunk_count = 4, size = 9")
        connection.execute(
            "UPDATE documents SET title = 'Its title', indexed_at = ? WHERE uri = 'dir/live.md'", (AT.format(5),)
        )
        connection.execute("UPDATE documents SET changed_at = ? WHERE uri = 'dir/new/'", (AT.format(6),))
        connection.execute("UPDATE documents SET indexed_at = ? WHERE uri = 'tried'", (AT.format(7),))
        connection.execute("UPDATE catalogue SET attempts = 2")
        connection.execute("UPDATE catalogue SET attempts = 5, changed_at = ? WHERE uri = 'failed'", (AT.format(8),))
        connection.commit()
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        by_uri = {one.uri: one for one in await listed(database, seen, Wanted(), 10)}
        some = await database.read(lambda tx: seen.some(tx, ["tried", "/", "nobody"]))
    assert some == {uri: by_uri[uri] for uri in ("tried", "/")}
    shown = [
        (one.title, one.status, one.phase, one.searchable, one.chunks, one.size, one.attempts, one.code, one.error)
        for one in by_uri.values()
    ]
    assert shown == [
        ("/", "queued", None, False, 0, None, 2, None, None),
        ("Its title", "indexed", None, True, 4, 9, 2, None, None),
        ("new", "processing", JobPhase.INDEXING, False, 4, 9, 2, None, None),
        ("failed", "failed", JobPhase.EMBEDDING, False, 0, None, 5, "bad", "it is bad"),
        ("tried", "indexed", None, True, 4, 9, 2, None, None),
    ]
    assert [(f"{one.created_at:%d}", f"{one.updated_at:%d}") for one in by_uri.values()] == [
        ("01", "01"), ("01", "05"), ("01", "06"), ("01", "08"), ("01", "07"),
    ]  # fmt: skip
    assert [one.indexed_at is None for one in by_uri.values()] == [True, False, True, True, False]


async def test_what_is_in_hand_says_what_a_document_is_before_what_is_searchable(path: Path) -> None:
    async with open_session(path) as database:
        made = await stock(database)
    known = [Known("both", live=True, in_hand=DocumentState.EMBEDDED), Known("live", live=True)]
    fill(path, made, known, is_cancelled=False, rebuilding=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE documents SET title = state, media_type = 'text/' || state, size = state")
        connection.execute("UPDATE catalogue SET title = 'old', media_type = 'text/old', size = 9")
        connection.commit()
    async with open_session(path) as database:
        seen = await database.read(lambda tx: View.now(tx, made.key, 1))
        shown = await listed(database, seen, Wanted(), 10)
    live, new = DocumentState.SEARCHABLE.value, DocumentState.EMBEDDED.value
    assert [(one.uri, one.title, one.media_type, one.size) for one in shown] == [
        ("both", f"{new}", f"text/{new}", new), ("live", f"{live}", f"text/{live}", live),
    ]  # fmt: skip


async def test_the_text_that_is_shown_is_the_searchable_one_else_the_newest_in_hand(database: Database) -> None:
    made = await stock(database)
    (live,) = await made.publish(("a", "alpha " * 20))
    newer, other = await made.load(("a", "beta"), ("b", "gamma"))
    (newest,) = await made.load(("b", "delta and more"))
    seen = await database.read(lambda tx: View.now(tx, made.key, 1))

    async def version(uri: str) -> tuple[int, str, int] | None:
        return await database.read(lambda tx: seen.version_of(tx, uri))

    assert await version("a") == (live.id, "a", 120)
    assert await version("b") == (newest.id, "b", 14)
    assert await version("c") is None
    pages = [
        [(one.position, one.start, one.end, one.text) for one in found]
        for after in (0, 2, 4, 6)
        for found in [await database.read(lambda tx, after=after: document_status.chunks(tx, live.id, 2, after))]  # type: ignore[misc]  # bound in the loop
    ]
    text = "alpha " * 20
    assert pages == [
        *([(n, 20 * n, 20 * n + 20, text[20 * n : 20 * n + 20]) for n in (first, first + 1)] for first in (0, 2, 4)),
        [],
    ]
    assert other.id < newest.id
    assert newer.id > live.id
