"""The last known status of each knowledge base, as it goes over the wire."""

from dataclasses import dataclass

import anyio

from phaseflow.domain.errors import JobNotFound, KnowledgeBaseNotFound
from phaseflow.domain.status import JobStatusResponse
from phaseflow.feed import STATUS_INTERVAL_S, Feed
from phaseflow.flow import PhaseFlow

_MAX_AGE_S = 2.5 * STATUS_INTERVAL_S
"""The counts and times of a running job may be shown when they are as old as this; all else is as it is now."""


@dataclass(frozen=True, slots=True)
class CachedStatus:
    """A status that was read. ``gone``: its knowledge base was deleted. Empty ``json``: it has never run."""

    revision: int
    read_at: float
    stamp: int
    json: bytes = b""
    job_id: str = ""
    running: bool = False
    gone: bool = False


class StatusCache:
    """Reads statuses, each after its transitions and otherwise once in a while, and keeps them encoded."""

    def __init__(self, flow: PhaseFlow) -> None:
        self._flow = flow
        self._shown: dict[str, CachedStatus] = {}
        self.stamp = 0
        """Grows with each status."""

    def is_gone(self, kb_id: str) -> bool:
        """The knowledge base has been deleted."""
        return kb_id in self._shown and self._shown[kb_id].gone

    def since(self, stamp: int, kb_id: str | None) -> list[bytes]:
        """Events: the statuses that came after a stamp, of one knowledge base or of all."""
        shown = self._shown.values() if kb_id is None else [self._shown[kb_id]] if kb_id in self._shown else []
        newer = sorted((one for one in shown if one.stamp > stamp), key=lambda one: one.stamp)
        return [b"event: status\ndata: %b\n\n" % one.json for one in newer if one.json]

    def current(self, kb_id: str) -> CachedStatus | None:
        """What would be read now, but for the latest counts of a running job; None when it is not at hand."""
        shown, feed = self._shown.get(kb_id), self._feed
        # Never stale in what matters: a status, a phase, a hold. Only counts and running times may be a little old, and
        # only of a running job, whose every batch changes them: each poll would be another trip to the database.
        if shown is None or not shown.json or feed.has_moved(kb_id, shown.revision):
            return None
        # Somebody has been given a newer one elsewhere (the answer to a verb): an older one after that would go back.
        if shown.read_at <= feed.told_at(kb_id):
            return None
        is_exact = not shown.running and shown.revision == feed.revision(kb_id)
        return shown if is_exact or anyio.current_time() - shown.read_at <= _MAX_AGE_S else None

    async def read(self, kb_id: str) -> CachedStatus | None:
        """What is current, read for this if need be; None when there is no job to read of."""
        if self.current(kb_id) is None:
            await self._read(kb_id)
        shown = self._shown[kb_id]
        return shown if shown.json else None

    async def read_all(self) -> None:
        """Begin anew with what the database holds."""
        revisions, now = self._feed.revisions(), anyio.current_time()  # before the read, as in ``_read``
        self._shown.clear()
        for status in await self._flow.latest():
            self._show(status, revisions.get(status.kb_id, 0), now)

    async def refresh_stale(self) -> None:
        """Read the running jobs again that nobody has looked at for some time."""
        now = anyio.current_time()
        for kb_id in [kb for kb, one in self._shown.items() if one.running and now - one.read_at > _MAX_AGE_S]:
            await self._read(kb_id)

    async def refresh(self, every_s: float) -> float:
        """Read what is due, counts alone ``every_s`` seconds; the seconds until the next one is."""
        due_s = float("inf")
        for kb_id, revision in self._feed.revisions().items():
            shown = self._shown.get(kb_id)
            if shown is not None and shown.revision == revision:
                continue
            wait_s = 0.0
            if shown is not None and not self._feed.has_moved(kb_id, shown.revision):
                wait_s = shown.read_at + every_s - anyio.current_time()
            if wait_s > 0:
                due_s = min(due_s, wait_s)
            else:
                await self._read(kb_id)
        return due_s

    @property
    def _feed(self) -> Feed:
        return self._flow.tracker.feed

    async def _read(self, kb_id: str) -> None:
        # The revision before the read: what changes during it has a higher one, and is read again. Taken after it, a
        # change that the read has missed would count as shown.
        revision, now = self._feed.revision(kb_id), anyio.current_time()
        try:
            self._show(await self._flow.status(kb_id), revision, now)
        except JobNotFound:
            self._shown[kb_id] = CachedStatus(revision, now, 0)
        except KnowledgeBaseNotFound:
            self.stamp += 1
            self._shown[kb_id] = CachedStatus(revision, now, self.stamp, gone=True)

    def _show(self, status: JobStatusResponse, revision: int, read_at: float) -> None:
        self.stamp += 1
        self._shown[status.kb_id] = CachedStatus(
            revision, read_at, self.stamp, status.model_dump_json().encode(), status.job_id,
            running=not status.status.is_terminal,
        )  # fmt: skip
