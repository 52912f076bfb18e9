"""What lies below an address: folder by folder, or in pages where the server gives them."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from phaseflow.components.protocols import Entry
from phaseflow.components.sources.names import uri_of
from phaseflow.components.sources.patterns import Globs
from phaseflow.components.sources.remote.filesystem import RemoteFileSystem
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, TransientError

PAGE_SIZE = 1000
DEEPEST = 64
"""Folders within folders: a server that makes them up would never end."""
MOST_FOLDERS = 100_000
"""That are known and not read yet; each is a path in memory."""
_MOST_IN_FOLDER = 1_000_000
"""Names in one folder of a server that does not list in pages."""
_RACY = timedelta(seconds=2)
_CHECKSUMS = (
    "ETag", "etag", "e_tag", "md5Hash", "content_md5", "Content-MD5", "contentHash", "checksum", "generation", "sha",
    "crc32c", "Digest",
)  # fmt: skip
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "modified", "updated", "modify")
_S3 = frozenset({"s3", "s3a"})
_OPEN_HIDDEN = ".github"


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    prefix: str
    depth: int


Names = Sequence[dict[str, Any]]


class Listing:
    """The files of a source in pages of at most 1,000. ``now`` gives the time, in UTC."""

    def __init__(
        self, files: RemoteFileSystem, shown: str, globs: Globs, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._files = files
        self._shown = shown
        self._globs = globs
        self._now = now

    async def pages(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the files, each folder in the order of names. Raises ComponentUnavailable when there is nothing of that
        name, TransientError, and what else reading the source ends with."""
        if self._files.protocol in _S3:
            async for page in self._s3_pages():
                yield page
            return
        found = await self._files.call(lambda fs, path: dict(fs.info(path)), self._shown)
        if found.get("type") == "file" and not await self._has_names(found):
            yield [self._entry(found, _last(str(found["name"])))]
            return
        async for page in self._walk():
            yield page

    async def _has_names(self, found: dict[str, Any]) -> bool:
        """Say whether what looks like a file is a folder: a server of pages calls all it has files."""
        if self._files.protocol not in {"http", "https"}:
            return False
        listed = await self._files.call(_listed, self._shown)
        return any(each["name"].rstrip("/") != str(found["name"]).rstrip("/") for each in listed)

    async def _walk(self) -> AsyncIterator[Sequence[Entry]]:
        waiting = [_Folder("", "", 0)]
        page: list[Entry] = []
        while waiting:
            folder = waiting.pop()
            found = await self._names(folder)
            if found is None:
                page.append(Entry(uri_of(folder.prefix), hides_others=True))
                continue
            names, top = found
            below: list[_Folder] = []
            for name, info in sorted(self._kept(names, top), key=lambda each: each[0]):
                uri = folder.prefix + name or f"{_last(top)}/"
                if info.get("type") == "directory":
                    if self._globs.enter_folder(uri):
                        below.append(self._below(folder, name, info))
                elif self._globs.take_file(uri):
                    is_in_its_place = not name and len(names) == 1  # of a folder: what is in that is not known
                    page.append(replace(self._entry(info, uri), hides_others=is_in_its_place))
                if len(page) >= PAGE_SIZE:
                    yield page
                    page = []
            waiting += reversed(below)
            if len(waiting) > MOST_FOLDERS:
                raise ComponentUnavailable(
                    f"{self._shown} has more than {MOST_FOLDERS:,} folders; leave some out with exclude"
                )
        if page:
            yield page

    def _below(self, folder: _Folder, name: str, info: dict[str, Any]) -> _Folder:
        if folder.depth >= DEEPEST:
            raise ComponentUnavailable(
                f"{folder.prefix}{name} lies more than {DEEPEST} folders deep; leave it out with exclude"
            )
        return _Folder(str(info["name"]), f"{folder.prefix}{name}/", folder.depth + 1)

    async def _names(self, folder: _Folder) -> tuple[Names, str] | None:
        """What a folder has, and its place; None where it is said not to be there, though the one above it has it."""

        def look(fs: Any, path: str) -> tuple[Names, str]:
            place = folder.path or path
            return _listed(fs, place), place

        try:
            names, top = await self._files.call(look, f"{self._shown.rstrip('/')}/{folder.prefix}")
        except DocumentError as error:
            if error.gone and folder.depth:
                return None  # servers say so of what may not be read, too: to ask for it alone tells
            raise
        if len(names) > _MOST_IN_FOLDER:
            raise ComponentUnavailable(f"{self._shown} has a folder of more than {_MOST_IN_FOLDER:,} names; split it")
        return names, top

    def _kept(self, names: Names, top: str) -> list[tuple[str, dict[str, Any]]]:
        """Files and folders by name; both may have one in a store of objects. Of those without a name, one that holds
        something: in the place of the folder that was asked for there is a file."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for info in names:
            name, kind = _inside(str(info.get("name", "")), top), str(info.get("type"))
            is_plain = "/" not in name and name not in {".", ".."} and not {"?", "#"} & set(name) - self._allowed
            has_name = name or (kind == "file" and size_of(info))
            if is_plain and has_name and not _is_hidden(name) and kind in _KINDS and not info.get("islink"):
                found[name, kind] = info
        return [(name, info) for (name, _), info in found.items()]

    @property
    def _allowed(self) -> set[str]:
        """Of the marks that end the path of a page: a server of pages has them in links that only sort its lists."""
        return set() if self._files.protocol in {"http", "https"} else {"?", "#"}

    async def _s3_pages(self) -> AsyncIterator[Sequence[Entry]]:
        """A bucket, or what has a prefix of folders in it, in the pages of the server: however much it holds."""
        token: str | None = None
        is_empty = True
        while True:
            answer, prefix = await self._files.call(partial(_s3_page, token=token), self._shown)
            page = []
            for each in answer.get("Contents", ()):
                is_empty = False
                uri = str(each["Key"])[len(prefix) :] or f"{_last(prefix)}/"
                is_folder = uri.endswith("/") and not each.get("Size")  # a console makes these, of no bytes
                if not is_folder and self._takes(uri):
                    page.append(self._entry({**each, "size": each.get("Size")}, uri))
            if page:
                yield page
            if not answer.get("IsTruncated"):
                break
            following = answer.get("NextContinuationToken")
            if not following or following == token:  # taken for the end, all behind it would count as deleted
                raise TransientError(f"{self._shown}: the store says that its list goes on, but not where")
            token = following
        if is_empty and prefix:
            yield [await self._one_object()]

    async def _one_object(self) -> Entry:
        try:
            found = await self._files.call(lambda fs, path: dict(fs.info(path)), self._shown)
        except DocumentError as error:
            if not error.gone:
                raise
            raise ComponentUnavailable(f"there is nothing at {self._shown}; check its name") from error
        return self._entry(found, _last(str(found["name"])))

    def _takes(self, uri: str) -> bool:
        parts = uri.split("/")
        if any(_is_hidden(part) and part not in {".", ".."} for part in parts):
            return False
        folders = ("/".join(parts[:count]) for count in range(1, len(parts)))
        return self._globs.take_file(uri) and all(self._globs.enter_folder(folder) for folder in folders)

    def _entry(self, info: dict[str, Any], uri: str) -> Entry:
        return Entry(uri_of(uri), size_of(info), stamp_of(info, self._now()))


_KINDS = frozenset({"file", "directory"})


def size_of(info: dict[str, Any]) -> int | None:
    """The size that a file system says a file has, bytes; None where it does not."""
    size = info.get("size")
    return size if isinstance(size, int) and size >= 0 else None


def stamp_of(info: dict[str, Any], now: datetime) -> str | None:
    """What changes with a file: its checksum, else its size and time of change. None: it says neither, or has changed
    so lately that it could change again within the same second."""
    size = size_of(info)
    for name in _CHECKSUMS:
        if value := info.get(name):
            return f"{name.lower()}:{value}:{'' if size is None else size}"
    for name in _TIMES:
        if (moment := _moment(info.get(name))) is not None:
            return f"{size}:{moment.isoformat()}" if size is not None and moment < now - _RACY else None
    return None


def _moment(value: Any) -> datetime | None:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            value = parsedate_to_datetime(value) if "," in value else datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError, TypeError):
        return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _s3_page(fs: Any, path: str, token: str | None) -> tuple[dict[str, Any], str]:
    bucket, _, key = path.partition("/")
    prefix = f"{key.rstrip('/')}/" if key else ""
    more = {"ContinuationToken": token} if token else {}
    return fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE_SIZE, **more), prefix


def _listed(fs: Any, path: str) -> Names:
    found = [each for each in fs.ls(path, detail=True) if isinstance(each, dict)]
    fs.invalidate_cache()  # else the lists of all folders stay in memory, and hide what changes
    return found


def _inside(name: str, top: str) -> str:
    """The name of something in a folder, without the folder."""
    return name.rstrip("/").removeprefix(top.rstrip("/")).removeprefix("/")


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name != _OPEN_HIDDEN
