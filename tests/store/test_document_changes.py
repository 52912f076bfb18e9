"""Which documents have changed is known to whoever listens, whatever wrote."""

from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.database import Database
from phaseflow.store.document_changes import KEPT, DocumentChanges
from phaseflow.store.failures import FailedDocument, Failures
from tests.store.stock import NOW, stock

LONG = "alpha beta gamma delta epsilon zeta eta theta"


async def test_each_document_that_is_written_is_told_once_with_its_latest_change(database: Database) -> None:
    made, changes = await stock(database), database.document_changes
    with changes.listening():
        hint = changes.hint()
        await made.publish(("a", LONG), ("b", LONG))
        assert hint.is_set()
        assert [uri for _, uri in changes.since("kb", 0, 10)] == ["a", "b"]
        await made.note("c")
        seen = changes.last
        failed = [FailedDocument("c", "code", "error")]
        await database.write(lambda tx: Failures(tx, made.key).add(made.seq, JobPhase.LOADING, failed, NOW))
        await database.write(lambda tx: Failures(tx, made.key).clear(["a", "c"]))
        assert changes.since("kb", seen, 10) == [(changes.last, "c")]
        assert changes.since("kb", changes.last, 10) == []
        assert [uri for _, uri in changes.since("kb", 0, 2)] == ["a", "b"]
        assert changes.since("other", 0, 10) == []


def test_who_reads_on_from_any_change_hears_of_each_later_one_once_in_its_order() -> None:
    changes = DocumentChanges()
    with changes.listening():
        for uri in "abcdb":
            changes._touch("kb~1", uri)
            changes.tell()
        whole = [(1, "a"), (3, "c"), (4, "d"), (5, "b")]
        assert changes.since("kb", 0, 10) == whole
        for place, (number, _) in enumerate(whole):
            for limit in (1, 2, 10):
                assert changes.since("kb", number, limit) == whole[place + 1 :][:limit]


def test_changes_are_kept_until_the_last_has_stopped_listening() -> None:
    changes = DocumentChanges()
    with changes.listening():
        with changes.listening():
            changes._touch("kb~1", "a")
            changes.tell()
        assert changes.since("kb", 0, 10) == [(1, "a")]
    with changes.listening():
        assert changes.since("kb", 0, 10) == []


def test_who_waits_is_woken_by_a_change_and_by_nothing_else() -> None:
    changes = DocumentChanges()
    with changes.listening():
        hint = changes.hint()
        changes.tell()
        assert not hint.is_set()
        changes._touch("kb~1", "a")
        changes.tell()
        assert hint.is_set()
        assert not changes.hint().is_set()


async def test_nothing_is_kept_while_nobody_listens(database: Database) -> None:
    made, changes = await stock(database), database.document_changes
    await made.publish(("a", LONG))
    with changes.listening():
        assert changes.since("kb", 0, 10) == []


def test_of_very_many_the_latest_are_kept() -> None:
    changes = DocumentChanges()
    with changes.listening():
        for n in range(KEPT + 5):
            changes._touch("kb~1", str(n))
        changes.tell()
        assert [uri for _, uri in changes.since("kb", 0, 2)] == ["5", "6"]
