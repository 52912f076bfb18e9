"""Who has said yes to taking most of a source out, and to which question."""

from dataclasses import replace
from datetime import timedelta

import pytest

from phaseflow.domain.deletions import WOULD_DELETE
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store.consent import Consent
from phaseflow.store.database import Database
from phaseflow.store.transaction import Transaction
from tests.store.stock import NOW, Stock, stock

INDEXING = JobPhase.INDEXING.position


def asking(state: IngestionState, reason: str | None = f"{WOULD_DELETE} …", *, held: bool = True) -> IngestionState:
    phases = list(state.phases)
    phases[INDEXING] = replace(phases[INDEXING], held=held, hold_reason=reason if held else None)
    return replace(state, phases=tuple(phases))


async def allowed(made: Stock, before: IngestionState, after: IngestionState) -> int:
    """What is noted of a change of a job that had not noted anything."""

    def work(tx: Transaction) -> int:
        tx.run("UPDATE ingestion_jobs SET allow_deletes = 7")
        Consent(tx).note(before, after)
        return int(tx.value("SELECT allow_deletes FROM ingestion_jobs"))

    return await made.database.write(work)


async def test_a_question_takes_back_a_yes_and_a_resume_is_one(database: Database) -> None:
    made = await stock(database)
    plain = (await made.record()).state
    asked = asking(plain)
    assert await allowed(made, plain, asked) == 0
    assert await allowed(made, asked, plain) == 1
    for before, after in (
        (plain, plain),
        (asked, asked),
        (asked, replace(plain, cancelled=True)),  # a cancel is no yes
        (asking(plain, "held at the start"), plain),  # nor is the end of another hold
        (plain, asking(plain, None)),
        (asked, asking(plain, "held for another reason")),
    ):
        assert await allowed(made, before, after) == 7


@pytest.mark.parametrize(
    ("reasons", "names", "given"),
    [
        ([], ["docs", "wiki"], True),  # said beforehand: for all
        (["docs"], ["docs"], True),
        (["docs"], ["docs", "wiki"], False),
        (["docs"], ["wiki"], False),
        (["docs", "wiki"], ["docs", "wiki"], True),
        (["docs"], [], True),
    ],
)
async def test_an_answer_is_for_the_sources_that_its_question_named(
    database: Database, reasons: list[str], names: list[str], given: bool
) -> None:
    made = await stock(database)

    def work(tx: Transaction) -> list[bool]:
        found = [Consent(tx).was_asked(made.job_id)]
        for source in reasons:
            tx.run(
                "INSERT INTO transitions (kb_id, job_id, phase, from_status, to_status, reason, at)"
                " VALUES (?, ?, 'indexing', 'running', 'paused', ?, '')",
                made.key, made.job_id, f"{WOULD_DELETE} 9 of 10 documents of the source '{source}'",
            )  # fmt: skip
        for allow in (0, 1):
            tx.run("UPDATE ingestion_jobs SET allow_deletes = ?", allow)
            found.append(Consent(tx).given(made.job_id, names))
        return [*found, Consent(tx).was_asked(made.job_id)]

    assert await database.write(work) == [False, False, given, bool(reasons)]


async def test_the_time_that_counts_is_that_of_the_first_job_that_has_asked_in_vain(database: Database) -> None:
    jobs = [await stock(database, job_id=name) for name in ("done", "asked", "plain", "now")]

    def work(tx: Transaction) -> list[str]:
        for number, each in enumerate(jobs):
            at = (NOW + timedelta(days=number)).isoformat()
            tx.run("UPDATE ingestion_jobs SET lists = 1, created_at = ? WHERE id = ?", at, each.job_id)
        found = [Consent(tx).counted_from(jobs[0].key, jobs[-1].seq)]
        for job_id in ("done", "asked"):
            tx.run(
                "INSERT INTO transitions (kb_id, job_id, phase, from_status, to_status, reason, at)"
                " VALUES (?, ?, 'indexing', 'running', 'paused', ?, '')",
                jobs[0].key, job_id, WOULD_DELETE,
            )  # fmt: skip
        found.append(Consent(tx).counted_from(jobs[0].key, jobs[-1].seq))
        tx.run(
            "UPDATE ingestion_phase_status SET status = 'completed' WHERE job_id = 'done' AND phase_name = 'indexing'"
        )
        return [*found, Consent(tx).counted_from(jobs[0].key, jobs[-1].seq)]

    assert await database.write(work) == [(NOW + timedelta(days=days)).isoformat() for days in (3, 0, 1)]
