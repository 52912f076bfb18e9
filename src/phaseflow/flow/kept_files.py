"""Files that are sent before anybody says which knowledge base they are for: durable, and seen by no search."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import anyio

from phaseflow.components.uploads import UploadLimits
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import FileNotKept, UploadTooLarge
from phaseflow.store.kept_files import PART_BYTES, KeptFile, KeptFileRows
from phaseflow.store.transaction import Transaction
from phaseflow.tracker import StateHub

MOST_FILES = 10_000
"""Files kept at once; documents of knowledge bases are no part of them."""
_DISCARD_S = 2.0
"""How long a file that was given up may take to go; what is left then, goes before the next one comes in."""


class IncomingFile:
    """A file on its way in. Its id is in the order of time."""

    def __init__(self, hub: StateHub, limits: UploadLimits, name: str, number: int, id_: str) -> None:
        self._hub = hub
        self._limits = limits
        self._name = name
        self._number = number
        self._id = id_
        self._parts = 0
        self._size = 0
        self._pending = bytearray()
        self.is_kept = False

    async def write(self, data: bytes) -> None:
        """More of it. Raises UploadTooLarge."""
        self._size += len(data)
        if self._size > self._limits.file_bytes:
            raise UploadTooLarge(
                f"{self._name} has more than the {self._limits.file_bytes:,} bytes of a document; split it"
            )
        self._pending += data
        while len(self._pending) >= PART_BYTES:
            await self._store(bytes(self._pending[:PART_BYTES]))
            del self._pending[:PART_BYTES]

    async def keep(self, purpose: str, expires_after_s: int | None = None) -> KeptFile:
        """It is whole: durable when this returns, and kept until it is removed or has expired."""
        if self._pending:
            await self._store(bytes(self._pending))
        at = self._hub.clock.now()

        def finish(tx: Transaction) -> KeptFile:
            KeptFileRows(tx).finish(self._number, purpose, self._size, expires_after_s)
            found = KeptFileRows(tx).find(self._id, at)
            assert found is not None
            return found

        kept = await self._hub.database.write(finish, durable=True)
        self.is_kept = True
        return kept

    async def _store(self, data: bytes) -> None:
        position = self._parts
        await self._hub.database.write(lambda tx: KeptFileRows(tx).add_part(self._number, position, data))
        self._parts += 1


class KeptFiles:
    """The files of one engine that belong to no knowledge base. All methods are safe to cancel."""

    def __init__(self, hub: StateHub, limits: UploadLimits, coming_in: set[str]) -> None:
        self._hub = hub
        self._limits = limits
        self._coming_in = coming_in

    @asynccontextmanager
    async def receiving(self, name: str) -> AsyncIterator[IncomingFile]:
        """A file begins. Unless it is kept in the block, nothing of it stays. Raises UploadTooLarge when there is no
        room."""
        await self._sweep()
        at = self._hub.clock.now()
        id_ = f"file-{int(at.timestamp() * 1000):012x}{secrets.token_hex(6)}"

        def begin(tx: Transaction) -> int:
            files, size = KeptFileRows(tx).totals()
            if files >= MOST_FILES or size >= self._limits.kb_bytes:
                raise UploadTooLarge(
                    f"{counted(files, 'file')} with {size:,} bytes, which is all there is room for; delete some first"
                )
            return KeptFileRows(tx).begin(id_, name, at)

        self._coming_in.add(id_)
        try:
            number = await self._hub.database.write(begin)
            incoming = IncomingFile(self._hub, self._limits, name, number, id_)
            try:
                yield incoming
            finally:
                if not incoming.is_kept:
                    with anyio.move_on_after(_DISCARD_S, shield=True):
                        await self._remove(number)
        finally:
            self._coming_in.discard(id_)

    async def get(self, id_: str) -> KeptFile:
        """One file. Raises FileNotKept."""
        found = await self._hub.database.read(lambda tx: KeptFileRows(tx).find(id_, self._hub.clock.now()))
        if found is None:
            raise FileNotKept(id_)
        return found

    async def page(
        self, purpose: str | None, after: str | None, limit: int, *, newest_first: bool
    ) -> Sequence[KeptFile]:
        """Files in the order of time, those behind the file ``after``. Raises FileNotKept for an unknown one."""
        behind = None if after is None else (await self.get(after)).number
        at: datetime = self._hub.clock.now()
        return await self._hub.database.read(
            lambda tx: KeptFileRows(tx).page(at, purpose, behind, limit, newest_first=newest_first)
        )

    async def parts(self, file: KeptFile) -> AsyncIterator[bytes]:
        """The bytes of a file. Raises FileNotKept when it goes meanwhile."""
        sent = position = 0
        while sent < file.size:
            part = await self._part(file.number, position)
            if part is None:
                raise FileNotKept(file.id)
            yield part
            sent, position = sent + len(part), position + 1

    async def _part(self, number: int, position: int) -> bytes | None:
        return await self._hub.database.read(lambda tx: KeptFileRows(tx).part(number, position))

    async def remove(self, id_: str) -> None:
        """Keep a file no more. Raises FileNotKept."""
        file = await self.get(id_)
        await self._hub.database.write(lambda tx: KeptFileRows(tx).hide(file.number), durable=True)
        await self._remove(file.number)

    async def _sweep(self) -> None:
        """Which files are on their way is looked at by the writer: of those whose row it can see, all are known."""
        at = self._hub.clock.now()

        def remove(tx: Transaction) -> bool:
            return KeptFileRows(tx).remove_some_leftovers(at, frozenset(self._coming_in))

        while await self._hub.database.write(remove):
            pass

    async def _remove(self, number: int) -> None:
        while await self._hub.database.write(lambda tx: KeptFileRows(tx).remove_some(number)):
            pass
