"""What webhooks have yet to be told: rows beside those of what they tell of."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest

from phaseflow.domain.status import Transition
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.domain.webhooks import Delivery, DeliveryError, Webhook, WebhookEvent
from phaseflow.store import webhooks
from phaseflow.store.database import Database
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.transaction import Transaction
from phaseflow.store.webhooks import LONGEST_ERROR, Message, Target, WebhookQueue, WebhookRows
from tests.store.stock import NOW, stock

ALL = list(WebhookEvent)
LONGEST_WAIT_S = 3600.0


def hook(tx: Transaction, name: str, events: Sequence[WebhookEvent] = (), kbs: Sequence[str] = ()) -> None:
    webhook = Webhook(
        name=name, url="http://localhost/x", events=list(events or ALL), kbs=list(kbs), pending=0,
        last_delivery=None, last_error=None, created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    WebhookRows(tx).put(webhook, Target(name, f"id of {name}", webhook.url, False, b"secret"), NOW)


def ended(
    tx: Transaction, status: str = "failed", error: str | None = None, phase: JobPhase | None = None, kb: str = "kb"
) -> None:
    transition = Transition(
        seq=1, job_id="job", kb_id=kb, phase=phase, reason=None, error=error, at=NOW,
        **{"from": "running", "to": status},
    )  # fmt: skip
    WebhookQueue(tx).tell_of_job(transition)


def due(tx: Transaction, after_s: float = 0.0, busy: Sequence[Message] = (), each: int = 10) -> list[Message]:
    beside = {message.seq: message.target.name for message in busy}
    return WebhookQueue(tx).due(NOW + timedelta(seconds=after_s), LONGEST_WAIT_S, beside, each)


def delivery() -> Delivery:
    return Delivery(event=WebhookEvent.JOB_FAILED, at=NOW, http_status=200)


def refusal(attempts: int) -> DeliveryError:
    return DeliveryError(event=WebhookEvent.JOB_FAILED, at=NOW, error="no", attempts=attempts)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_an_error_is_sent_whole_up_to_a_length_and_cut_with_a_sign_beyond(
    database: Database, beyond: int
) -> None:
    made = await stock(database)
    await made.note("a.md")
    error = "x" * (LONGEST_ERROR + beyond)
    said = error if beyond <= 0 else f"{'x' * LONGEST_ERROR}…"

    def write(tx: Transaction) -> list[Message]:
        hook(tx, "a")
        ended(tx, error=error)
        Failures(tx, made.key).add(made.seq, JobPhase.LOADING, [FailedDocument("a.md", "bad", error)], NOW)
        of_job = due(tx)
        WebhookQueue(tx).taken(of_job[0], delivery())
        return [*of_job, *due(tx)]

    job, document = await database.write(write)
    assert (job.event, json.loads(job.data)["error"]) == (WebhookEvent.JOB_FAILED, said)
    assert (document.event, json.loads(document.data)["error"]) == (WebhookEvent.DOCUMENT_FAILED, said)


async def test_only_the_ends_and_pauses_of_jobs_are_told_to_those_who_want_to_know(database: Database) -> None:
    def write(tx: Transaction) -> list[tuple[str, str]]:
        hook(tx, "all")
        hook(tx, "ends", events=[WebhookEvent.JOB_COMPLETED])
        hook(tx, "other", kbs=["other"])
        ended(tx, "running")
        ended(tx, "failed", phase=JobPhase.LOADING)
        for status in ("completed", "failed", "paused", "cancelled"):
            ended(tx, status)
        return [(row[0], row[1]) for row in tx.rows("SELECT webhook, event FROM webhook_queue ORDER BY webhook, seq")]

    jobs = ["job.completed", "job.failed", "job.paused", "job.cancelled"]
    assert await database.write(write) == [*(("all", each) for each in jobs), ("ends", "job.completed")]


async def test_the_first_message_of_each_webhook_and_knowledge_base_is_due_so_many_of_a_webhook_at_once(
    database: Database,
) -> None:
    def write(tx: Transaction) -> None:
        hook(tx, "a")
        hook(tx, "b")
        for kb in ("one", "two", "three"):
            for status in ("completed", "failed"):
                ended(tx, status, kb=kb)
        first = due(tx)
        assert sorted((m.target.name, m.kb, m.event) for m in first) == [
            (name, kb, "job.completed") for name in ("a", "b") for kb in ("one", "three", "two")
        ]
        assert [(m.attempts, m.at, m.target.secret) for m in first[:1]] == [(0, NOW, b"secret")]
        assert sorted(m.target.name for m in due(tx, each=2)) == ["a", "a", "b", "b"]
        busy = [m for m in first if m.target.name == "a"][:2]
        beside = due(tx, busy=busy, each=2)
        assert [m.target.name for m in beside] == ["b", "b"], "as many of the first are in hand"
        assert len(due(tx, busy=busy, each=3)) == 4
        assert not {m.seq for m in due(tx, busy=busy)} & {m.seq for m in busy}
        WebhookQueue(tx).taken(first[0], delivery())
        (after,) = [m for m in due(tx) if (m.target.name, m.kb) == (first[0].target.name, first[0].kb)]
        assert after.event == WebhookEvent.JOB_FAILED

    await database.write(write)


async def test_a_message_that_was_refused_waits_and_so_do_those_behind_it(database: Database) -> None:
    def write(tx: Transaction) -> None:
        queue = WebhookQueue(tx)
        hook(tx, "a")
        assert queue.next_due() is None
        ended(tx, "failed")
        ended(tx, "completed")
        (first,) = due(tx)
        queue.refused(first, refusal(3), NOW + timedelta(seconds=20))
        assert queue.next_due() == NOW + timedelta(seconds=20)
        assert due(tx, 19) == []
        assert [(m.seq, m.attempts) for m in due(tx, 20)] == [(first.seq, 3)]
        assert [m.seq for m in queue.due(NOW, LONGEST_WAIT_S, {}, 1, [first.seq])] == [first.seq]
        assert [m.seq for m in due(tx, -LONGEST_WAIT_S)] == [first.seq], "put off before the clock was set back"
        shown = WebhookRows(tx).find("a")
        assert shown is not None
        assert (shown.pending, shown.last_error, shown.last_delivery) == (2, refusal(3), None)
        hook(tx, "a")
        assert [m.seq for m in due(tx)] == [first.seq], "another address is tried at once"

    await database.write(write)


async def test_what_is_given_up_takes_along_what_is_as_old_a_bounded_number_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "GIVEN_UP", 2)

    def write(tx: Transaction) -> None:
        queue = WebhookQueue(tx)
        hook(tx, "a")
        hook(tx, "b")
        for kb in ("one", "one", "one", "two"):
            ended(tx, kb=kb)
        first = next(m for m in due(tx) if (m.target.name, m.kb) == ("a", "one"))
        assert queue.give_up(first, refusal(5), NOW - timedelta(seconds=1))
        assert not queue.give_up(first, refusal(5), NOW - timedelta(seconds=1))
        assert tx.rows("SELECT webhook, kb, count(*) FROM webhook_queue GROUP BY 1, 2 ORDER BY 1, 2") == [
            ("a", "two", 1), ("b", "one", 3), ("b", "two", 1),
        ]  # fmt: skip

    await database.write(write)


async def test_webhooks_are_put_found_and_removed_by_name(database: Database) -> None:
    def write(tx: Transaction) -> None:
        rows = WebhookRows(tx)
        for name in ("b", "a", "c"):
            hook(tx, name)
        assert (rows.count(), [one.name for one in rows.page(2, "")]) == (3, ["a", "b"])
        assert [one.name for one in rows.page(2, "b")] == ["c"]
        ended(tx)
        assert rows.remove("a")
        assert not rows.remove("a")
        assert (rows.find("a"), rows.count(), len(due(tx))) == (None, 2, 2)

    await database.write(write)
