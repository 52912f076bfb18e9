"""A folder of this machine for a service that cannot read it: its files are pushed, each under its path in it."""

import hashlib
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from phaseflow.components.protocols import Entry
from phaseflow.components.sources import FolderLoader
from phaseflow.components.sources.names import path_of, uri_of
from phaseflow.domain.errors import DocumentError, InvalidRequest, UploadTooLarge
from phaseflow.domain.new_document import check_uri

if TYPE_CHECKING:
    from phaseflow.client import Client
    from phaseflow.domain.settings import FolderSource

TOGETHER = 100
_TOGETHER_BYTES = 8 * 1024 * 1024
"""Files of one request, and about how many bytes."""
_LIMIT_TRIES = 30
_LIMIT_WAIT_S = 2.0
"""A service that takes as much as it can at once is asked again."""


@dataclass(slots=True)
class Pushed:
    """What became of a folder. ``gone``: uris of what was pushed from there before and is not there any more;
    ``refused``: why files could not be read, or taken."""

    sent: int = 0
    same: int = 0
    gone: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def _origin_of(source: "FolderSource") -> str:
    """What the service is told about where the files come from: this machine and the folder."""
    return uri_of(f"{socket.gethostname()}:{os.path.abspath(source.path)}")


class FolderPush:
    """Pushes the files of a folder that are new or have changed. Globs and ``.gitignore`` hold as for a source.

    ``names_files``: only these were named, so that others that were pushed from the folder are gone only when they do
    not exist.
    """

    def __init__(self, client: "Client", kb_id: str, source: "FolderSource", *, names_files: bool) -> None:
        self._client = client
        self._kb_id = kb_id
        self._source = source
        self._origin = _origin_of(source)
        self._names_files = names_files
        self._batch: list[tuple[str, bytes]] = []
        self._size = 0
        self._done = Pushed()

    async def known(self, limit: int | None = None) -> dict[str, str]:
        """(uri, digest) of what was pushed from there before; of some of it with a ``limit``."""
        found: dict[str, str] = {}
        cursor: str | None = None
        while True:
            page = await self._client.pushed_documents(self._kb_id, limit or 1000, cursor, origin=self._origin)
            found |= {each.uri: each.digest for each in page.items}
            cursor = page.next_cursor
            if cursor is None or limit is not None:
                return found

    async def gone(self, known: dict[str, str]) -> list[str]:
        """Uris of what is ``known`` and not there any more; pushes nothing. Raises ComponentUnavailable when the folder
        cannot be read to its end: then nothing is known to be gone."""
        if not known:
            return []
        left = set(known)
        async for page in FolderLoader(self._source).list():
            left.difference_update(entry.uri for entry in page)
        return sorted(uri for uri in left if not self._names_files or not self._exists(uri))

    async def run(self, known: dict[str, str], gone: list[str], *, full: bool = False) -> Pushed:
        """Push what is not ``known``; with ``full`` everything. What was ``gone`` and is there again is pushed like the
        rest; what goes meanwhile is found gone the next time. Raises ComponentUnavailable when the folder cannot be
        read to its end. Cancelling it leaves what was sent."""
        left, loader = dict(known), FolderLoader(self._source)
        async for page in loader.list():
            for entry in page:
                await self._bring(loader, entry, left, full=full)
        await self._send()
        self._done.gone = [uri for uri in gone if uri in left]
        return self._done

    async def remove_gone(self) -> None:
        """Take out what is gone."""
        for uri in self._done.gone:
            await self._client.delete_document(self._kb_id, uri)

    async def _bring(self, loader: FolderLoader, entry: Entry, left: dict[str, str], *, full: bool) -> None:
        try:
            check_uri(entry.uri)
            data = await loader.read(entry)
        except InvalidRequest:
            self._done.refused.append(f"{entry.uri!r}: its name cannot be pushed; rename it")
            return
        except DocumentError as error:
            if not error.gone:
                left.pop(entry.uri, None)
                self._done.refused.append(str(error))
            return
        if left.pop(entry.uri, None) == hashlib.blake2b(data, digest_size=16).hexdigest() and not full:
            self._done.same += 1
            return
        if self._batch and (len(self._batch) == TOGETHER or self._size + len(data) > _TOGETHER_BYTES):
            await self._send()
        self._batch.append((entry.uri, data))
        self._size += len(data)

    async def _send(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        if batch:
            await self._push(batch)

    async def _push(self, batch: list[tuple[str, bytes]]) -> None:
        try:
            await self._push_patiently(batch)
        except UploadTooLarge as error:
            if len(batch) == 1:
                self._done.refused.append(f"{batch[0][0]}: {error}")
                return
            for each in batch:  # which of them it is, the answer does not say
                await self._push([each])
        else:
            self._done.sent += len(batch)

    async def _push_patiently(self, batch: list[tuple[str, bytes]]) -> None:
        import anyio

        from phaseflow.client import ServiceError

        for tries in range(_LIMIT_TRIES):
            try:
                await self._client.push_files(self._kb_id, batch, self._origin)
            except ServiceError as error:
                if error.code != "limit_reached" or tries == _LIMIT_TRIES - 1:
                    raise
                await anyio.sleep(_LIMIT_WAIT_S)
            else:
                return

    def _exists(self, uri: str) -> bool:
        return os.path.lexists(os.path.join(self._source.path, path_of(uri)))
