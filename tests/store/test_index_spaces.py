"""What an index outside the database should have, and what it has yet to be told, row by row."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from phaseflow.domain.errors import NotADatabase
from phaseflow.store import index_outbox
from phaseflow.store.index_outbox import IndexOutbox, Waiting
from phaseflow.store.index_spaces import Space, SpaceContents, Spaces, passages_of
from phaseflow.store.pieces import piece_id
from phaseflow.store.schema import schema_sql
from phaseflow.store.states import DocumentState
from phaseflow.store.transaction import Transaction

KB = "kb~1"
SERVER = "server"


@pytest.fixture
def tx() -> Iterator[Transaction]:
    """A knowledge base without a job."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema_sql())
        made = Transaction(connection)
        made.run(
            "INSERT INTO knowledge_bases (id, name, settings, index_version, search_revision, created_at, updated_at)"
            " VALUES (?, 'kb', '{}', 1, 7, '', '')",
            KB,
        )
        yield made


@pytest.fixture
def space(tx: Transaction) -> Space:
    name = Spaces(tx).ensure(KB, 1, SERVER, moves=False)
    assert name is not None
    return Space(name, SERVER, KB, 1, None)


def document(tx: Transaction, number: int, passages: int, state: DocumentState = DocumentState.SEARCHABLE) -> None:
    tx.run(
        "INSERT INTO documents (id, kb_id, job_seq, index_version, uri, title, media_type, content_hash, recipe, state,"
        " chunk_count, search_revision) VALUES (?, ?, 1, 1, ?, ?, '', '', '', ?, ?, 1)",
        number, KB, f"{number}.md", f"Title {number}", state, passages,
    )  # fmt: skip


def test_a_space_has_a_name_of_its_own_that_begins_with_the_mark_of_its_file(tx: Transaction, space: Space) -> None:
    assert Spaces(tx).ensure(KB, 1, SERVER, moves=False) == space.name
    following = Spaces(tx).ensure(KB, 2, SERVER, moves=False)
    assert following != space.name
    assert Spaces(tx).names(SERVER) == {space.name, following}
    assert all(name.startswith(Spaces(tx).owner()) for name in Spaces(tx).names(SERVER))
    assert Spaces(tx).find(KB, 1) == Spaces(tx).by_name(space.name) == space
    assert Spaces(tx).find(KB, 3) is Spaces(tx).by_name("nobody") is None
    Spaces(tx).keep_only(KB, 2)
    assert Spaces(tx).names(SERVER) == {following}


def test_a_space_that_takes_the_place_of_another_is_searched_once_the_move_is_complete(
    tx: Transaction, space: Space
) -> None:
    following = Spaces(tx).ensure(KB, 1, "elsewhere", moves=True)
    assert following is not None
    assert Spaces(tx).ensure(KB, 1, "elsewhere", moves=True) == following
    assert [Spaces(tx).is_searched(name) for name in (space.name, following)] == [True, False]
    assert Spaces(tx).server_of(KB, 1) == SERVER
    assert Spaces(tx).ensure(KB, 1, "third", moves=True) != following  # the one that the job has left goes
    Spaces(tx).complete_move(KB, 1)
    assert Spaces(tx).server_of(KB, 1) == "third"
    assert Spaces(tx).ensure(KB, 1, None, moves=True) is None
    Spaces(tx).complete_move(KB, 1)
    assert Spaces(tx).server_of(KB, 1) is None


@pytest.mark.parametrize("stays", [SERVER, None])
def test_a_space_of_a_move_that_was_called_off_goes_with_the_next_job(tx: Transaction, stays: str | None) -> None:
    if stays is not None:
        Spaces(tx).ensure(KB, 1, stays, moves=False)
    assert Spaces(tx).ensure(KB, 1, "elsewhere", moves=True) is not None
    Spaces(tx).ensure(KB, 1, stays, moves=False)
    assert Spaces(tx).names("elsewhere") == set()
    assert Spaces(tx).server_of(KB, 1) == stays


def test_passages_that_were_not_proposed_are_those_of_what_search_sees(tx: Transaction, space: Space) -> None:
    contents = SpaceContents(tx, space)
    assert contents.unproposed([], None) == 0
    for number, passages in ((1, 3), (2, 2), (4, 0)):
        document(tx, number, passages)
    document(tx, 3, 9, DocumentState.GONE)
    assert contents.unproposed([], None) == 5
    proposed = [piece_id(1, 0), piece_id(1, 2), piece_id(2, 1), piece_id(3, 0)]
    assert contents.unproposed(proposed, None) == 2
    assert contents.unproposed([*proposed, *proposed], None) == 2
    assert contents.unproposed(proposed, [2]) == 1
    assert contents.unproposed([piece_id(1, n) for n in range(9)], [1]) == 0  # more than there are is none less


def test_what_an_index_should_have_is_told_by_id_in_pages(tx: Transaction, space: Space) -> None:
    contents = SpaceContents(tx, space)
    for number, passages in ((1, 3), (2, 0), (4, 2), (5, 1)):
        document(tx, number, passages)
    document(tx, 3, 9, DocumentState.GONE)
    document(tx, 6, 4, DocumentState.EMBEDDED)
    for number, elsewhere in ((8, "kb_id = 'other'"), (9, "index_version = 2")):
        document(tx, number, 50)
        tx.run(f"UPDATE documents SET {elsewhere} WHERE id = ?", number)
    assert [contents.searchable(after, 2) for after in (0, 1, 4, 5)] == [
        [(1, 3), (4, 2)],
        [(4, 2), (5, 1)],
        [(5, 1)],
        [],
    ]
    assert contents.unknown([1, 2, 3, 6, 7, 8, 9]) == [3, 7, 8, 9]
    assert contents.expected() == (7, 6, 0)
    assert contents.named(4) == ("4.md", "Title 4", 2)
    assert [contents.named(number) for number in (3, 6, 7, 8, 9)] == [None] * 5
    assert [contents.unproposed([], only) for only in (None, [1, 4, 8, 9])] == [6, 5]
    assert SpaceContents(tx, space._replace(name="nobody")).expected() is None
    assert contents.is_free()
    assert not SpaceContents(tx, space._replace(name="nobody")).is_free()


def test_passages_come_with_their_vectors_from_any_of_them_on(tx: Transaction) -> None:
    document(tx, 1, 4)
    tx.run("INSERT INTO models (id, fingerprint) VALUES (1, 'm')")
    for n in range(4):
        tx.run(
            "INSERT INTO vectors (id, model_id, text_hash, vector) VALUES (?, 1, ?, ?)", n + 1, bytes([n]), bytes([n])
        )
        tx.run(
            "INSERT INTO chunks (id, start, stop, text_hash, vector_id) VALUES (?, ?, ?, ?, ?)",
            piece_id(1, n), 10 * n, 10 * n + 9, bytes([n]), n + 1,
        )  # fmt: skip
    assert passages_of(tx, 1, 1, 2) == [(10, 19, b"\x01"), (20, 29, b"\x02")]
    assert [len(passages_of(tx, 1, first, 10)) for first in range(5)] == [4, 3, 2, 1, 0]


def waits(tx: Transaction, space: str, documents: int, *, again: int = 0, first: int = 1) -> None:
    tx.many(
        "INSERT INTO index_outbox (server, space, kb_id, document_id, passages, again) VALUES (?, ?, ?, ?, 2, ?)",
        [(SERVER, space, KB, n, again) for n in range(first, first + documents)],
    )


def test_what_is_gone_is_told_so_many_at_a_time(tx: Transaction, space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_outbox, "STEP", 2)
    outbox = IndexOutbox(tx, SERVER)
    assert outbox.next_gone() is None
    waits(tx, space.name, 3)
    assert [IndexOutbox(tx, space.server).passages_waiting(space.name, most) for most in (0, 1, 2, 9)] == [0, 2, 4, 6]
    told = []
    while waiting := outbox.next_gone():
        told.append(list(waiting.document_ids))
        assert not outbox.settle(waiting)
    assert told == [[1, 2], [3]]
    assert outbox.gone_of(space.name) is None
    assert not Spaces(tx).is_used("elsewhere")
    assert Spaces(tx).is_used(SERVER)


def test_a_space_that_is_gone_whole_is_told_first_and_settled_in_steps(
    tx: Transaction, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_outbox, "STEP", 2)
    outbox = IndexOutbox(tx, SERVER)
    waits(tx, space.name, 1)
    waits(tx, "gone", 17)
    tx.run("INSERT INTO index_outbox (server, space, kb_id) VALUES (?, 'gone', ?)", SERVER, KB)
    waiting = outbox.next_gone()
    assert waiting is not None
    assert (waiting.space, waiting.document_ids) == ("gone", ())
    left = []
    while outbox.settle(waiting):
        left.append(tx.value("SELECT count(*) FROM index_outbox WHERE space = 'gone'"))
    assert left == [10, 2, 1]
    assert outbox.next_gone() == Waiting(space.name, [1], [1])


def test_what_has_another_uri_is_told_of_one_space_at_a_time(tx: Transaction, space: Space) -> None:
    outbox = IndexOutbox(tx, SERVER)
    assert outbox.next_renamed() is None
    other = Spaces(tx).ensure(KB, 2, SERVER, moves=False)
    assert other is not None
    first, second = sorted([space.name, other])
    waits(tx, first, 2, again=1)
    waits(tx, second, 1, again=1, first=8)
    for name, documents in ((first, [1, 2]), (second, [8])):
        found = outbox.next_renamed()
        assert found is not None
        assert (found[0].name, found[1].space, found[1].document_ids) == (name, name, documents)
        outbox.settle(found[1])
    assert outbox.next_renamed() is None


def test_a_file_without_the_mark_is_told_in_words(tx: Transaction) -> None:
    tx.run("DELETE FROM sequences")
    with pytest.raises(NotADatabase, match="has other tables than this phaseflow makes"):
        Spaces(tx).owner()


def test_what_an_index_may_have_beside_is_what_the_jobs_of_its_knowledge_base_are_about_to_bring(
    tx: Transaction, space: Space
) -> None:
    tx.run(
        "INSERT INTO knowledge_bases (id, name, settings, index_version, search_revision, created_at, updated_at)"
        " VALUES ('other', 'other', '{}', 1, 7, '', '')"
    )
    for key in (KB, "other"):
        tx.run(
            "INSERT INTO ingestion_jobs (id, kb_id, managed, settings, created_at) VALUES (?1, ?1, 1, '{}', '')", key
        )
    document(tx, 1, 3)
    document(tx, 2, 20, DocumentState.EMBEDDED)
    document(tx, 3, 100, DocumentState.FAILED)
    document(tx, 4, 1000, DocumentState.CHUNKED)  # of which no index has anything yet
    document(tx, 5, 5000, DocumentState.EMBEDDED)
    tx.run("UPDATE documents SET kb_id = 'other', job_seq = 2 WHERE id = 5")
    assert SpaceContents(tx, space).expected() == (7, 3, 120)
    tx.run("UPDATE documents SET index_version = 2 WHERE id = 3")
    assert SpaceContents(tx, space).expected() == (7, 3, 20)


def test_what_belongs_to_a_knowledge_base_with_an_open_job_waits_and_that_of_others_goes(
    tx: Transaction, space: Space
) -> None:
    tx.run(
        "INSERT INTO knowledge_bases (id, name, settings, index_version, search_revision, created_at, updated_at)"
        " VALUES ('other', 'other', '{}', 1, 7, '', '')"
    )
    other, outbox = Spaces(tx).ensure("other", 1, SERVER, moves=False), IndexOutbox(tx, SERVER)
    assert other is not None
    tx.run("INSERT INTO ingestion_jobs (id, kb_id, managed, settings, created_at) VALUES ('j', ?, 1, '{}', '')", KB)
    waits(tx, space.name, 1)
    assert outbox.next_gone() is None
    waits(tx, other, 1, first=8)
    found = outbox.next_gone()
    assert found is not None
    assert (found.space, found.document_ids) == (other, [8])
    outbox.settle(found)
    assert outbox.next_gone() is None
    tx.run("UPDATE ingestion_jobs SET completed_at = 'now'")
    found = outbox.next_gone()
    assert found is not None
    assert found.space == space.name


def knowledge_base(tx: Transaction, name: str, *, searched: int = 1, is_deleted: bool = False) -> str:
    """Its key."""
    tx.run(
        "INSERT INTO knowledge_bases (id, name, settings, index_version, search_revision, created_at, updated_at)"
        " VALUES (?, ?, '{}', ?, 5, '', '')",
        f"{name}~2", None if is_deleted else name, searched,
    )  # fmt: skip
    return f"{name}~2"


def has_documents(tx: Transaction, key: str, index_version: int = 1, state: int = DocumentState.SEARCHABLE) -> None:
    tx.run(
        "INSERT INTO documents (kb_id, job_seq, index_version, uri, title, media_type, content_hash, recipe, state,"
        " chunk_count) VALUES (?, 1, ?, 'a', '', '', '', '', ?, 1)",
        key, index_version, state,
    )  # fmt: skip


def job_of(tx: Transaction, key: str, *, is_open: bool = True, managed: bool = True, model: str | None = None) -> None:
    tx.run(
        "INSERT INTO ingestion_jobs (id, kb_id, managed, settings, index_version, model, created_at, completed_at)"
        " VALUES (?, ?, ?, '{}', 1, ?, '', ?)",
        f"job {tx.value('SELECT count(*) FROM ingestion_jobs')}", key, managed, model, None if is_open else "",
    )  # fmt: skip


def test_a_server_is_needed_for_what_can_be_searched_there_and_by_open_jobs(tx: Transaction) -> None:
    def stands(name: str, *, index_version: int = 1, moves: bool = False, searched: int = 1, **kind: bool) -> str:
        key = knowledge_base(tx, name, searched=searched, **kind)
        assert Spaces(tx).ensure(key, index_version, name, moves=moves)
        return key

    has_documents(tx, stands("searched"))
    has_documents(tx, stands("deleted", is_deleted=True))
    stands("empty")
    has_documents(tx, stands("gone"), state=DocumentState.GONE)
    has_documents(tx, stands("of a version before", searched=2))
    has_documents(tx, stands("with documents of another version"), index_version=2)
    has_documents(tx, stands("of a move that is over", moves=True))
    job_of(tx, stands("of an open job"))
    job_of(tx, stands("of a move", moves=True))
    job_of(tx, stands("of a job that is over"), is_open=False)
    job_of(tx, stands("of a program of its own"), managed=False)
    assert Spaces(tx).needed_servers() == ["of a move", "of an open job", "searched"]


def test_the_spaces_that_are_looked_after_are_those_that_are_searched_and_no_job_has(tx: Transaction) -> None:
    names: dict[str, str] = {}

    def stands(name: str, *, server: str = SERVER, moves: bool = False, searched: int = 1, **kind: bool) -> str:
        key = knowledge_base(tx, name, searched=searched, **kind)
        names[name] = str(Spaces(tx).ensure(key, 1, server, moves=moves))
        return key

    for name in ("one", "two"):
        job_of(tx, stands(name), is_open=False, model="m")
    stands("three")
    stands("elsewhere", server="elsewhere")
    stands("moves", moves=True)
    stands("older", searched=2)
    stands("deleted", is_deleted=True)
    job_of(tx, stands("open"))
    job_of(tx, stands("a program's own"), managed=False)
    tx.run("INSERT INTO models (fingerprint, dimension) VALUES ('m', 7), ('other', 9)")
    of_all = {name: names[name] for name in ("one", "two", "three", "a program's own")}
    found = Spaces(tx).free_spaces(SERVER, None)
    assert [space.name for space, _ in found] == sorted(of_all.values())
    told = {space.kb_key: (space.dimension, revision) for space, revision in found}
    assert told == {"one~2": (7, 5), "two~2": (7, 5), "three~2": (None, 5), "a program's own~2": (None, 5)}
    some = Spaces(tx).free_spaces(SERVER, ["two", "open", "elsewhere"])
    assert [space.kb_key for space, _ in some] == ["two~2"]
    assert Spaces(tx).free_spaces(SERVER, []) == []
    free = {name: SpaceContents(tx, Space(names[name], SERVER, "", 1, None)).is_free() for name in ("one", "open")}
    assert free == {"one": True, "open": False}
