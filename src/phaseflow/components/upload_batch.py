"""Documents on their way in: small ones in memory, larger ones in files, on the disk before anything names them."""

import os
import unicodedata
import uuid
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from phaseflow.components.extraction.registry import type_of_text
from phaseflow.components.given_files import opened
from phaseflow.components.sources.names import uri_of
from phaseflow.components.uploads import Uploads, kb_is_full
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import InvalidRequest, UploadTooLarge
from phaseflow.domain.identifiers import hides_something
from phaseflow.store.private_files import open_private
from phaseflow.store.pushed import INLINE_BYTES, Push
from phaseflow.store.transaction import Transaction

_COPY_BYTES = 1024 * 1024
_LONGEST_PATH = 2048
"""Bytes of a relative path."""
LONGEST_NAME = 255
"""Bytes of a file's name, or of a folder's before it; what the common file systems take."""


class UploadBatch:
    """Documents on their way in, one after the other. Blocking, from any thread, one call at a time.

    Raises InvalidRequest for a name that cannot be kept or too many, UploadTooLarge past a limit; then, and after
    ``discard``, nothing of it is to be kept.
    """

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._folder: Path | None = None
        self._lock = Lock()
        self._began = 0
        self._bytes = 0
        self._now: _Incoming | None = None
        self._done: dict[str, Push] = {}
        self._closed = False
        self.metadata: str | None = None
        """JSON that is given to each document without metadata of its own."""
        self.origin: str | None = None
        """Where they come from, as their sender calls it."""

    @property
    def is_empty(self) -> bool:
        """No document has come in."""
        return not self._done

    @property
    def pushes(self) -> list[Push]:
        """What has come in, each uri once, in the order sent; of two with the same uri, the later one."""
        return [
            replace(push, metadata=push.metadata or self.metadata, origin=self.origin) for push in self._done.values()
        ]

    def begin(self, name: str) -> None:
        """A file begins."""
        self._begin(uri_of(_safe_name(name)), name)

    def begin_document(self, uri: str) -> None:
        """A document begins, under any uri."""
        self._begin(uri, uri)

    def write(self, data: bytes) -> None:
        """More of the document."""
        with self._lock:
            self._check_open()
            assert self._now is not None
            limits = self._uploads.limits
            if self._now.size + len(data) > limits.file_bytes:
                raise UploadTooLarge(
                    f"{self._now.name} has more than the {limits.file_bytes:,} bytes of a document; split it"
                )
            self._bytes += len(data)
            if self._bytes > limits.kb_bytes:
                raise kb_is_full(limits)
            if self._now.file is None and self._now.size + len(data) > INLINE_BYTES:
                self._to_disk(self._now)
            self._now.write(data)

    def end(self, title: str | None = None, media_type: str | None = None, metadata: str | None = None) -> None:
        """The document is whole; if it is large, it is on the disk now."""
        with self._lock:
            self._check_open()
            assert self._now is not None
            self._done[self._now.uri] = replace(
                self._now.received(), title=title, media_type=media_type, metadata=metadata
            )
            self._now = None

    def copy(self, path: Path, metadata: str | None = None) -> None:
        """Take a file of this machine."""
        with opened(path) as file:
            self.begin(path.name)
            while data := file.read(_COPY_BYTES):
                self.write(data)
        self.end(metadata=metadata)

    def add(self, name: str, data: bytes) -> None:
        """Take a file from memory."""
        self.begin(name)
        self.write(data)
        self.end()

    def add_text(self, uri: str, text: str, title: str | None, media_type: str | None, metadata: str | None) -> None:
        """Take a text from memory, under any uri."""
        self._begin(uri, uri)
        for start in range(0, len(text), _COPY_BYTES):
            self.write(text[start : start + _COPY_BYTES].encode())
        self.end(title, media_type or type_of_text(uri, text), metadata)

    def place(self, kb_id: str, tx: Transaction) -> None:
        """Move the files to the folder of a knowledge base: the last step of the transaction that names them."""
        with self._lock:
            self._check_open()
            assert self._folder is not None or not any(push.file for push in self._done.values())
            if self._folder is not None:
                self._uploads.place(kb_id, [self._folder / p.file for p in self._done.values() if p.file], tx)

    def discard(self) -> None:
        """Delete what has not been placed; nothing more is taken."""
        with self._lock:
            self._closed = True
            if self._now is not None and self._now.file is not None:
                self._now.file.close()
            if self._folder is not None:
                self._uploads.unstage(self._folder)

    def _begin(self, uri: str, name: str) -> None:
        with self._lock:
            self._check_open()
            if self._began == self._uploads.limits.files:
                raise InvalidRequest(
                    "files", f"more than {counted(self._began, 'document')}; send the rest in another request"
                )
            self._began += 1
            self._now = _Incoming(uri, name)

    def _to_disk(self, incoming: "_Incoming") -> None:
        if self._folder is None:
            self._folder = self._uploads.stage()
        path = self._folder / f".{uuid.uuid4().hex}"
        incoming.to_disk(open(path, "xb", opener=open_private))  # noqa: SIM115  closed by `end` or `discard`

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest("files", "the upload was given up; send it again")


class _Incoming:
    """One document, of which more may come: in memory, and once it is large in a file."""

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name
        self.size = 0
        self.file: BinaryIO | None = None
        self._content = bytearray()
        self._digest = blake2b(digest_size=16)

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._digest.update(data)
        if self.file is None:
            self._content += data
        else:
            self.file.write(data)

    def to_disk(self, file: BinaryIO) -> None:
        self.file = file
        file.write(self._content)
        self._content.clear()

    def received(self) -> Push:
        push = Push(self.uri, self.size, self._digest.hexdigest())
        if self.file is None:
            return replace(push, content=bytes(self._content))
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        return replace(push, file=Path(self.file.name).name)


def _safe_name(name: str) -> str:
    """The name as it is kept: NFC, so that the same name typed on two systems is one document.

    It may be a path with ``/``, relative to the folder that was sent. Raises InvalidRequest, naming ``files``, for a
    name that could leave the folder, hide in it, or mislead readers.
    """
    kept = unicodedata.normalize("NFC", name)
    fault = next((fault for part in kept.split("/") if (fault := _fault(part))), None)
    if fault is None and len(kept.encode()) > _LONGEST_PATH:
        fault = f"is longer than {_LONGEST_PATH} bytes with its folders"
    if fault:
        raise InvalidRequest("files", f"the name {name[:100]!r} {fault}; rename the file")
    return kept


def _fault(name: str) -> str | None:
    if not name.strip():
        return "is empty, or one of the folders in it is"
    if name.startswith("."):
        return "begins with a dot, or one of the folders in it does, and what is hidden is not read"
    if "\\" in name:
        return "holds a backslash; put a slash between folders"
    if hides_something(name):
        return "holds characters that cannot be seen"
    if len(name.encode()) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return None
