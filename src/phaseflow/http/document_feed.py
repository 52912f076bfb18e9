"""The documents that change, told beside the transitions and statuses of a stream."""

import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import anyio

from phaseflow.domain.errors import KnowledgeBaseNotFound, PhaseflowError
from phaseflow.flow import PhaseFlow

PER_S = 20
"""Documents that one stream is told of in a second, at most."""
_AT_ONCE = 5
_MOST_BEHIND = 1000
"""Documents that a stream has still to tell, some 50 seconds. More are listed sooner than told."""
MOST_MISSED = 40
"""The same for a client that comes back, two seconds: where connections break off sooner, it would never end."""
MOST_BEHIND_S = 60.0
"""How long after its change a document is told."""
OVERLAP_S = 120.0
"""What a client that comes back may have missed before its last id: what was still to be told when its stream ended, a
send that it did not take included."""
_ID_LINE = re.compile(rb"^id: [^\n]*\n", re.MULTILINE)


class DocumentFeed:
    """The documents of one knowledge base for one stream, the latest change of each.

    An id names a transition, and transitions are told at once while documents wait for their turn. So that a client
    that comes back with its last id has missed none: nothing is told later than ``MOST_BEHIND_S`` after its change
    (before that comes ``reset``: the client lists them again), what changed within ``OVERLAP_S`` before the id is told
    again, and while a client is told what it has missed it gets no newer id; where that would take longer than most
    connections last, it is told to list them instead. ``tell`` sends; ``taking``: one at a time.
    """

    def __init__(self, flow: PhaseFlow, kb_id: str, tell: Callable[[bytes], Awaitable[None]]) -> None:
        self._flow = flow
        self._kb_id = kb_id
        self._tell_events = tell
        self.taking = anyio.Lock(fast_acquire=True)
        self.seq = 0
        """The last transition that the client was told of, with or without its id."""
        self._begun = anyio.Event()
        self._missed_after: int | None = None
        self._is_level = False

    def begin(self, seq: int, *, comes_back: bool) -> None:
        """The answer has begun: to a client that knows everything up to transition ``seq``, or a new one."""
        self.seq = seq
        self._missed_after = seq if comes_back else None
        self._is_level = not comes_back
        self._begun.set()

    def without_ids(self, events: bytes) -> bytes:
        """Events as they may be sent now: a client that has not heard yet what it missed keeps the id it has."""
        return events if self._is_level else _ID_LINE.sub(b"", events)

    async def run(self) -> None:
        """Until the stream ends."""
        changes = self._flow.document_changes
        with changes.listening(), suppress(PhaseflowError):  # the end of the engine is the end of the stream, too
            number = changes.last
            await self._begun.wait()
            seen = deque([(number, anyio.current_time())])  # what the number of the latest change was, and when
            await self._tell_missed()
            while True:
                hint = changes.hint()
                changed = changes.since(self._kb_id, number, _MOST_BEHIND + 1)
                now = anyio.current_time()
                if not changed:
                    seen = deque([(changes.last, now)])
                    await hint.wait()
                    continue
                seen.append((changes.last, now))
                while len(seen) > 1 and seen[1][0] < changed[0][0]:
                    seen.popleft()  # the first to be told changed after the first of the looks that stay
                if len(changed) > _MOST_BEHIND or now - seen[0][1] > MOST_BEHIND_S:
                    number = changes.last
                    await self._reset()
                    continue
                changed = changed[:_AT_ONCE]
                number = changed[-1][0]
                await self._tell([uri for _, uri in changed])

    async def _tell_missed(self) -> None:
        """Those that have changed since the last id of a client that comes back; ``reset`` where these are too many."""
        if self._missed_after is None:
            return
        missed: list[str] = []
        with suppress(KnowledgeBaseNotFound):  # deleted meanwhile
            missed = await self._flow.documents_changed_after(
                self._kb_id, self._missed_after, MOST_MISSED + 1, overlap_s=OVERLAP_S
            )
        if len(missed) > MOST_MISSED:
            await self._reset()
        else:
            for first in range(0, len(missed), _AT_ONCE):
                await self._tell(missed[first : first + _AT_ONCE])
        self._is_level = True
        await self._tell_events(b":\nid: %d\n\n" % self.seq)

    async def _reset(self) -> None:
        await self._tell_events(b'event: reset\ndata: {"oldest": %d}\n\n' % (self.seq + 1))

    async def _tell(self, uris: Sequence[str]) -> None:
        try:
            objects = await self._flow.documents_named(self._kb_id, uris)
        except KnowledgeBaseNotFound:
            return  # deleted meanwhile; the stream of others goes on, and tells of one that is made anew under its name
        if objects:
            await self._tell_events(
                b"".join(b"event: document\ndata: %b\n\n" % one.model_dump_json().encode() for one in objects)
            )
            await anyio.sleep(len(objects) / PER_S)
