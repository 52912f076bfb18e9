"""Delivers what webhooks have yet to be told: at least once, for each knowledge base in order, tried for a day."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from phaseflow.components.certificates import trusted
from phaseflow.components.embedders import EmbedderAccess
from phaseflow.components.embedders.retry_after import retry_after_s
from phaseflow.components.sources.web.address import normalised
from phaseflow.domain.errors import EngineStopped, PhaseflowError, StoreError
from phaseflow.domain.log import get_logger
from phaseflow.domain.status import timestamp
from phaseflow.domain.webhooks import (
    ATTEMPT_S,
    GIVE_UP_S,
    LEAST_ATTEMPTS,
    LONGEST_WAIT_S,
    Delivery,
    DeliveryError,
    signed,
    wait_s,
)
from phaseflow.store import failpoints
from phaseflow.store.database import STORE_RETRY_S
from phaseflow.store.stop_deadline import WRITES_S
from phaseflow.store.webhooks import Message, Target, WebhookQueue
from phaseflow.tracker import StateHub

if TYPE_CHECKING:
    import httpx2

AT_ONCE = 16
"""Attempts in progress, of all webhooks, …"""
_AT_ONCE_EACH = 4
"""… and of one, so that a slow one leaves room for the others."""
PAUSE_S = 0.1
"""Between two looks: a running job wakes the feed with each batch."""
_LONGEST_LOOK_S = 5.0
"""It looks at least this often while something waits: the wall clock may step."""
_NO_ROOM = frozenset({429, 503})
LONGEST_ERROR = 500
"""Characters of an error that are kept."""


class Deliveries:
    """Works by level, not by edge: a message is a row until it was taken."""

    def __init__(self, hub: StateHub, access: EmbedderAccess) -> None:
        self._hub = hub
        self._access = access
        self._scope = anyio.CancelScope()
        self._busy: dict[int, str] = {}
        self._clients: dict[tuple[str, bool], httpx2.AsyncClient] = {}
        self._making = anyio.Lock()
        self._rests: dict[str, tuple[str, float]] = {}
        self._again: dict[int, float] = {}
        """When what this engine has put off is due by the clock of the loop, which never steps. A message that is not
        here was put off by an engine before: the wall clock alone tells."""

    def stop(self) -> None:
        """End at once; what is on its way is delivered again by the next engine."""
        self._scope.cancel()

    async def run(self) -> None:
        """Until ``stop``. Cancelling is the same."""
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    await self._look(tasks)
        finally:
            with self._hub.database.ending.limit(WRITES_S):
                await self._close()

    async def _look(self, tasks: TaskGroup) -> None:
        while True:
            hint, left_s = self._hub.feed.hint(), STORE_RETRY_S
            try:
                left_s = await self._start_due(tasks)
            except EngineStopped:
                return
            except StoreError as error:
                get_logger().warning("cannot read what webhooks are to be told, trying again", error=str(error))
            with anyio.move_on_after(left_s):
                await hint.wait()
            await anyio.sleep(PAUSE_S)

    async def _start_due(self, tasks: TaskGroup) -> float:
        """Start what is due; the seconds until something may be."""
        database, now = self._hub.database, self._hub.clock.now()
        next_at = await database.read(lambda tx: WebhookQueue(tx).next_due())
        if next_at is None:
            self._again.clear()
            return float("inf")
        if len(self._busy) < AT_ONCE:
            busy = dict(self._busy)
            waited = [seq for seq, due_s in self._again.items() if due_s <= anyio.current_time()]
            found = await database.read(
                lambda tx: WebhookQueue(tx).due(now, LONGEST_WAIT_S, busy, _AT_ONCE_EACH, waited)
            )
            found = [message for message in found if self._rest_s(message.target) <= 0]
            for message in found[: AT_ONCE - len(self._busy)]:
                self._busy[message.seq] = message.target.name
                self._again.pop(message.seq, None)
                tasks.start_soon(self._deliver, message)
        return min(_LONGEST_LOOK_S, max(0.0, (next_at - now).total_seconds()) or _LONGEST_LOOK_S)

    async def _deliver(self, message: Message) -> None:
        try:
            http_status, error, asked_s = await self._attempt(message)
            if asked_s:
                self._rests[message.target.name] = message.target.url, anyio.current_time() + asked_s
            await self._note(message, http_status, error, asked_s)
        except EngineStopped:
            return
        except StoreError as unavailable:
            get_logger().warning("cannot note a delivery, it is made again", error=str(unavailable))
            await anyio.sleep(STORE_RETRY_S)
        finally:
            del self._busy[message.seq]
            self._hub.feed.wake()

    def _rest_s(self, target: Target) -> float:
        """How long a receiver still wants to be left alone: with all of its messages, but not at another address."""
        url, until = self._rests.get(target.name, ("", 0.0))
        return until - anyio.current_time() if url == target.url else 0.0

    async def _attempt(self, message: Message) -> tuple[int, str | None, float]:
        """(the status, why it failed or None, how many seconds it asks to wait)."""
        import httpx2

        body = b'{"type":"%b","timestamp":"%b","data":%b}' % (
            message.event.encode(), timestamp(message.at).encode(), message.data.encode(),
        )  # fmt: skip
        # Not the engine's moments, which may be ahead of a clock that was set back: receivers compare it with theirs.
        at_s, target = int(datetime.now(UTC).timestamp()), message.target
        headers = signed(target.secret, f"msg_{target.id}_{message.seq}", at_s, body)
        try:
            with anyio.fail_after(ATTEMPT_S):
                client = await self._client(target)
                given = {"content-type": "application/json", "user-agent": "phaseflow", **headers}
                async with client.stream("POST", target.url, content=body, headers=given) as answer:
                    failpoints.hit("webhooks.answered")
                    taken = answer.is_success
                    if taken:
                        return answer.status_code, None, 0.0
                    return answer.status_code, _refusal(answer.status_code), _asked_wait_s(answer)
        except TimeoutError:
            return 0, f"no answer within {ATTEMPT_S:.0f} s", 0.0
        except (httpx2.HTTPError, PhaseflowError) as error:
            return 0, str(error) or type(error).__name__, 0.0

    async def _note(self, message: Message, http_status: int, error: str | None, asked_s: float) -> None:
        now, attempts = self._hub.clock.now(), message.attempts + 1
        if error is None:
            delivery = Delivery(event=message.event, at=now, http_status=http_status)
            await self._hub.database.write(lambda tx: WebhookQueue(tx).taken(message, delivery))
            return
        until = now - timedelta(seconds=GIVE_UP_S)
        refused = DeliveryError(
            event=message.event, at=now, error=error[:LONGEST_ERROR], attempts=attempts,
            given_up=message.at <= until and attempts >= LEAST_ATTEMPTS,
        )  # fmt: skip
        if refused.given_up:
            while await self._hub.database.write(lambda tx: WebhookQueue(tx).give_up(message, refused, until)):
                pass
        else:
            put_off_s = max(wait_s(attempts), asked_s)
            next_at, self._again[message.seq] = now + timedelta(seconds=put_off_s), anyio.current_time() + put_off_s
            await self._hub.database.write(lambda tx: WebhookQueue(tx).refused(message, refused, next_at))
        get_logger().warning(
            "webhook not delivered", webhook=message.target.name, event_type=message.event, error=refused.error,
            attempts=attempts, given_up=refused.given_up,
        )  # fmt: skip

    async def _client(self, target: Target) -> "httpx2.AsyncClient":
        """One for each address; without proxies and redirects, which would get round the guard."""
        key = (target.url, target.chosen_by_client)
        async with self._making:
            if key not in self._clients:
                if len(self._clients) >= AT_ONCE and len(self._busy) == 1:
                    await self._close()  # addresses change now and then
                self._clients[key] = await anyio.to_thread.run_sync(self._make_client, *key)
            return self._clients[key]

    def _make_client(self, url: str, chosen_by_client: bool) -> "httpx2.AsyncClient":
        import httpx2

        from phaseflow.components.embedders.guarded import GuardedTransport

        guard = self._access.policy_for(normalised(url) or url) if chosen_by_client else None
        transport = None if guard is None else GuardedTransport(guard, _AT_ONCE_EACH)
        return httpx2.AsyncClient(
            transport=transport, verify=trusted(), timeout=ATTEMPT_S, follow_redirects=False, trust_env=guard is None
        )

    async def _close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


def _asked_wait_s(answer: "httpx2.Response") -> float:
    """What a receiver asks for that has no room, 0 for nothing. No longer than messages are put off at all."""
    if answer.status_code not in _NO_ROOM:
        return 0.0
    return min(retry_after_s(answer.headers, datetime.now(UTC)) or 0.0, LONGEST_WAIT_S)


def _refusal(http_status: int) -> str:
    followed = "; redirects are not followed" if 300 <= http_status < 400 else ""
    return f"answered {http_status}{followed}"
