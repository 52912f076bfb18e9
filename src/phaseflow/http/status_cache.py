"""The last known status of each knowledge base, as it goes over the wire."""

from dataclasses import dataclass

import anyio

from phaseflow.domain.errors import JobNotFound, KnowledgeBaseNotFound
from phaseflow.domain.status import JobStatusResponse
from phaseflow.feed import NEVER, STATUS_INTERVAL_S, Feed, Version
from phaseflow.flow import PhaseFlow

STALE_S = 1.0
"""A newcomer is not shown the times of a running job that are older than this."""
CURRENT_S = 2.5 * STATUS_INTERVAL_S
"""Who asks for a status may get counts that the engine made as old as this; all else is as it is now."""


@dataclass(frozen=True, slots=True)
class CachedStatus:
    """A status that was read. ``gone``: its knowledge base was deleted. Empty ``json``: it has never run."""

    version: Version
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
        self._told_at: dict[str, float] = {}
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
        """What would be read now, but for the latest batches of a running job; None when it is not at hand."""
        shown, feed = self._shown.get(kb_id), self._feed
        if shown is None or not shown.json or shown.version.asked != feed.version(kb_id).asked:
            return None
        if shown.read_at <= self._told_at.get(kb_id, 0.0):
            return None
        if shown.version == feed.version(kb_id) and not shown.running:
            return shown
        return shown if anyio.current_time() - shown.read_at <= CURRENT_S else None

    def invalidate(self, kb_id: str) -> None:
        """Somebody has been told a status that was not read here: nobody is shown an older one from now on."""
        self._told_at[kb_id] = anyio.current_time()

    async def read(self, kb_id: str) -> CachedStatus | None:
        """What is current, read for this if need be; None when there is no job to read of."""
        if self.current(kb_id) is None:
            await self._read(kb_id)
        shown = self._shown[kb_id]
        return shown if shown.json else None

    async def read_all(self) -> None:
        """Begin anew with what the database holds."""
        versions, now = self._feed.versions(), anyio.current_time()
        self._shown.clear()
        for status in await self._flow.latest():
            self._show(status, versions.get(status.kb_id, NEVER), now)

    async def refresh_stale(self) -> None:
        """Read the running jobs again that nobody has looked at for some time."""
        now = anyio.current_time()
        for kb_id in [kb for kb, one in self._shown.items() if one.running and now - one.read_at > STALE_S]:
            await self._read(kb_id)

    async def refresh(self, every_s: float) -> float:
        """Read what is due, counts alone ``every_s`` seconds; the seconds until the next one is."""
        due_s = float("inf")
        for kb_id, version in self._feed.versions().items():
            shown = self._shown.get(kb_id)
            if shown is not None and shown.version == version:
                continue
            wait_s = 0.0
            if shown is not None and shown.version.moves == version.moves:
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
        version, now = self._feed.version(kb_id), anyio.current_time()
        try:
            self._show(await self._flow.status(kb_id), version, now)
        except JobNotFound:
            self._shown[kb_id] = CachedStatus(version, now, 0)
        except KnowledgeBaseNotFound:
            self.stamp += 1
            self._shown[kb_id] = CachedStatus(version, now, self.stamp, gone=True)

    def _show(self, status: JobStatusResponse, version: Version, read_at: float) -> None:
        self.stamp += 1
        self._shown[status.kb_id] = CachedStatus(
            version, read_at, self.stamp, status.model_dump_json().encode(), status.job_id,
            running=not status.status.is_terminal,
        )  # fmt: skip
