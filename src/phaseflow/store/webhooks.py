"""Webhooks and what they have yet to be told: rows written in the transaction of what they tell of.

So neither a crash nor a restart loses or invents a message.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from phaseflow.domain.status import Transition, timestamp
from phaseflow.domain.webhooks import Delivery, DeliveryError, Webhook, WebhookEvent
from phaseflow.store.transaction import Row, Transaction, json_array

_WANTED = (
    "EXISTS (SELECT 1 FROM json_each(w.events) WHERE value = ?1)"
    " AND (w.kbs = '[]' OR EXISTS (SELECT 1 FROM json_each(w.kbs) WHERE value = ?2))"
)
GIVEN_UP = 1000
"""Messages that are given up in one transaction, with the one that was tried."""
LONGEST_ERROR = 2000
"""Characters of an error in a message: programs report what they like, and a message waits for a day, once for each
webhook. The status and the failure have it whole."""
_SHORTENED = (
    f"CASE WHEN length(f.error) > {LONGEST_ERROR} THEN substr(f.error, 1, {LONGEST_ERROR}) || '…' ELSE f.error END"
)
_JOB_EVENTS = {event.rpartition(".")[2]: event for event in WebhookEvent if event.startswith("job.")}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook wants its messages."""

    name: str
    id: str
    url: str
    chosen_by_client: bool
    secret: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """Something that a webhook has yet to be told. ``data`` is JSON."""

    seq: int
    target: Target
    kb: str
    event: WebhookEvent
    data: str
    at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class WebhookQueue:
    """What the webhooks have yet to be told."""

    tx: Transaction

    def tell_of_job(self, transition: Transition) -> None:
        """Queue the end, the failure or the pause of a job for those who want to know."""
        event = _JOB_EVENTS.get(transition.to_status) if transition.phase is None else None
        if event is not None:
            error = transition.error
            if error is not None and len(error) > LONGEST_ERROR:
                transition = transition.model_copy(update={"error": f"{error[:LONGEST_ERROR]}…"})
            data = transition.model_dump_json(by_alias=True)
            self.tx.run(
                "INSERT INTO webhook_queue (webhook, kb, event, data, at, next_at)"
                f" SELECT w.name, ?2, ?1, ?3, ?4, ?4 FROM webhooks AS w WHERE {_WANTED}",
                event, transition.kb_id, data, timestamp(transition.at),
            )  # fmt: skip

    def tell_of_failures(self, kb_key: str, kb_id: str, uris: Sequence[str]) -> None:
        """Queue the failures of some documents, as they stand now, for those who want to know."""
        self.tx.run(
            "INSERT INTO webhook_queue (webhook, kb, event, data, at, next_at)"
            " SELECT w.name, ?2, ?1, json_object('kb_id', ?2, 'job_id', j.id, 'uri', f.uri, 'phase', f.phase,"
            f"  'code', f.code, 'error', {_SHORTENED}, 'attempts', f.attempts, 'at', f.at), f.at, f.at"
            " FROM json_each(?4) AS u JOIN failures AS f ON f.kb_id = ?3 AND f.uri = u.value"
            f" JOIN ingestion_jobs AS j ON j.seq = f.job_seq CROSS JOIN webhooks AS w WHERE {_WANTED} ORDER BY u.key",
            WebhookEvent.DOCUMENT_FAILED, kb_id, kb_key, json_array(uris),
        )  # fmt: skip

    def due(
        self, at: datetime, longest_wait_s: float, busy: Mapping[int, str], each: int, waited: Collection[int] = ()
    ) -> list[Message]:
        """The first messages of each webhook and knowledge base that are due, those that may be begun beside those in
        hand (their numbers, each with its webhook): of one webhook, ``each`` at once, however many of it are due.

        One that is due later than any wait can be was put off before the clock was set back. ``waited``: numbers of
        those that have waited long enough, whatever the wall clock says.
        """
        rows = self.tx.rows(
            f"{_HEADS} SELECT q.seq, q.kb, q.event, q.data, q.at, q.attempts, w.name, w.id, w.url, w.chosen_by_client,"
            " w.secret FROM q JOIN webhooks AS w ON w.name = q.webhook"
            " JOIN (SELECT seq, row_number() OVER (PARTITION BY webhook ORDER BY next_at, seq) AS place FROM q"
            "  WHERE (next_at <= ?1 OR next_at > ?2 OR seq IN (SELECT value FROM json_each(?5)))"
            "  AND seq NOT IN (SELECT CAST(key AS INTEGER) FROM json_each(?3)))"
            " AS d ON d.seq = q.seq"
            " WHERE d.place <= ?4 - (SELECT count(*) FROM json_each(?3) AS b WHERE b.value = q.webhook)"
            " ORDER BY q.next_at, q.seq",
            timestamp(at), timestamp(at + timedelta(seconds=longest_wait_s)), json.dumps(busy), each,
            json.dumps(list(waited)),
        )  # fmt: skip
        return [
            Message(
                seq=seq, target=Target(name, id_, url, bool(by_client), secret), kb=kb, event=WebhookEvent(event),
                data=data, at=datetime.fromisoformat(at_), attempts=attempts,
            )
            for seq, kb, event, data, at_, attempts, name, id_, url, by_client, secret in rows
        ]  # fmt: skip

    def next_due(self) -> datetime | None:
        """When the next message that was put off is due; None without any."""
        at = self.tx.value(f"{_HEADS} SELECT min(next_at) FROM q")
        return None if at is None else datetime.fromisoformat(at)

    def taken(self, message: Message, delivery: Delivery) -> None:
        """The webhook has taken a message."""
        self.tx.run("DELETE FROM webhook_queue WHERE seq = ?", message.seq)
        self.tx.run("UPDATE webhooks SET last_delivery = ? WHERE id = ?", delivery.model_dump_json(), message.target.id)

    def refused(self, message: Message, error: DeliveryError, next_at: datetime) -> None:
        """An attempt has failed, and is made again."""
        self.tx.run(
            "UPDATE webhook_queue SET attempts = ?, next_at = ? WHERE seq = ?",
            error.attempts, timestamp(next_at), message.seq,
        )  # fmt: skip
        _note_error(self.tx, message, error)

    def give_up(self, message: Message, error: DeliveryError, until: datetime) -> bool:
        """An attempt has failed, and is not made again: for its knowledge base, neither is one for anything as old.

        Some of what tells of a time up to ``until``, at most GIVEN_UP messages; whether there may be more.
        """
        gone = self.tx.rows(
            "DELETE FROM webhook_queue WHERE seq IN (SELECT seq FROM webhook_queue"
            " WHERE webhook = ? AND kb = ? AND (seq = ? OR at <= ?) ORDER BY seq LIMIT ?) RETURNING 1",
            message.target.name, message.kb, message.seq, timestamp(max(until, message.at)), GIVEN_UP,
        )  # fmt: skip
        _note_error(self.tx, message, error)
        return len(gone) == GIVEN_UP


@dataclass(frozen=True, slots=True)
class WebhookRows:
    """The webhooks that there are."""

    tx: Transaction

    def put(self, webhook: Webhook, target: Target, at: datetime) -> bool:
        """Create a webhook, or change it and keep its secret; True when it was created."""
        known = self.find(webhook.name) is not None
        self.tx.run(
            "INSERT INTO webhooks (name, id, url, chosen_by_client, events, kbs, secret, created_at, updated_at)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT (name) DO UPDATE SET url = ?3,"
            " chosen_by_client = ?4, events = ?5, kbs = ?6, updated_at = ?8",
            webhook.name, target.id, target.url, target.chosen_by_client, json_array(webhook.events),
            json_array(webhook.kbs), target.secret, timestamp(at),
        )  # fmt: skip
        self.tx.run("UPDATE webhook_queue SET next_at = at WHERE webhook = ?", webhook.name)
        return not known

    def remove(self, name: str) -> bool:
        """Delete a webhook with what it was to be told; False when there is none."""
        return self.tx.row("DELETE FROM webhooks WHERE name = ? RETURNING 1", name) is not None

    def find(self, name: str) -> Webhook | None:
        """One webhook, or None."""
        row = self.tx.row(f"{_SHOWN} WHERE name = ?", name)
        return None if row is None else _webhook(row)

    def page(self, limit: int, after: str) -> list[Webhook]:
        """Webhooks by name, those behind ``after``."""
        rows = self.tx.rows(f"{_SHOWN} WHERE name > ? ORDER BY name LIMIT ?", after, limit)
        return [_webhook(row) for row in rows]

    def count(self) -> int:
        """How many there are."""
        return int(self.tx.value("SELECT count(*) FROM webhooks"))


_SHOWN = (
    "SELECT name, url, events, kbs, created_at, updated_at, last_delivery, last_error,"
    " (SELECT count(*) FROM webhook_queue WHERE webhook = w.name) FROM webhooks AS w"
)


_NEXT = "FROM webhook_queue WHERE (webhook, kb) > (k.webhook, k.kb) ORDER BY webhook, kb LIMIT 1"
_HEADS = (
    "WITH RECURSIVE k (webhook, kb) AS (SELECT '', '' UNION ALL"
    f"  SELECT (SELECT webhook {_NEXT}), (SELECT kb {_NEXT}) FROM k WHERE webhook IS NOT NULL),"
    " q AS (SELECT * FROM webhook_queue WHERE seq IN"
    "  (SELECT (SELECT min(seq) FROM webhook_queue WHERE webhook = k.webhook AND kb = k.kb) FROM k))"
)
"""The first messages: one look-up in the index each, however many wait behind them."""


def _note_error(tx: Transaction, message: Message, error: DeliveryError) -> None:
    tx.run("UPDATE webhooks SET last_error = ? WHERE id = ?", error.model_dump_json(), message.target.id)


def _webhook(row: Row) -> Webhook:
    name, url, events, kbs, created_at, updated_at, delivery, error, pending = row
    return Webhook(
        name=name, url=url, events=json.loads(events), kbs=json.loads(kbs), pending=pending,
        last_delivery=None if delivery is None else Delivery.model_validate_json(delivery),
        last_error=None if error is None else DeliveryError.model_validate_json(error),
        created_at=datetime.fromisoformat(created_at), updated_at=datetime.fromisoformat(updated_at),
    )  # fmt: skip
