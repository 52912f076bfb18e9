"""A file system of fsspec, opened for one source: its calls are made in threads that nobody has to wait for."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import anyio

from phaseflow.components.abandonable_thread import call_in_abandonable_thread
from phaseflow.components.sources.partial_answers import other_range
from phaseflow.components.sources.remote.connections import NamedConnection
from phaseflow.components.sources.remote.faults import as_ours
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.domain.errors import ComponentError, ComponentUnavailable, InvalidRequest, MissingExtra, TransientError
from phaseflow.domain.remote_sources import FsspecSource, links_of, protocol_of

T = TypeVar("T")

_CONNECT_S = 10.0
ANSWER_S = 60.0
"""How long one call may take that brings no content, such as the list of a folder."""
_CLOSE_S = 2.0
_SHARED = frozenset({"file", "local", "memory", "sftp", "ssh", "github"})
"""File systems of plain calls that several threads may make at once; of the others one call is made at a time."""
_FOR_ALL: Mapping[str, Any] = {"skip_instance_cache": True}
_HOSTED = frozenset({"http", "https"})
_S3 = frozenset({"s3", "s3a"})
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "adl"})
"""What they call folders are the beginnings of names."""
_ONCE_MORE: Mapping[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 2}}
"""Of botocore. By themselves it and s3fs would make 25 requests of one, for a minute in which nobody is told that the
store does not answer; the engine tries again, and says so."""


class NoAnswer(TransientError):
    """A call took too long and was left behind."""

    def __init__(self, what: str, limit_s: float) -> None:
        super().__init__(f"{what}: no answer within {limit_s:.0f} s")


class RemoteFileSystem:
    """The file system of a source, opened with the first call and anew after one that hung.

    ``policy`` decides on each connection of an http address; None leaves it open. What goes wrong is raised in our
    words. Cancelling a call abandons its thread.

    Raises InvalidRequest for a protocol without a file system.
    """

    def __init__(self, source: FsspecSource, connection: NamedConnection | None, policy: AddressPolicy | None) -> None:
        self._source = source
        self._connection = connection
        self._policy = policy
        self._opened: tuple[Any, str] | None = None
        self._opening = anyio.Lock()
        self._secrets: tuple[str, ...] = ()
        protocol = protocol_of(source.url)
        self.protocol = protocol
        kind = file_system(source)
        self.takes_many = bool(getattr(kind, "async_impl", False)) or protocol in _SHARED
        self._turn = None if self.takes_many else Lock()

    async def call(self, work: Callable[[Any, str], T], what: str, limit_s: float = ANSWER_S) -> T:
        """Do some work with the file system and the path of the source in it.

        Raises TransientError when it takes longer than ``limit_s``, else what ``as_ours`` makes of an error.
        """
        opened = await self._open()
        try:
            with anyio.fail_after(limit_s):
                return await self._in_thread(partial(self._in_turn, work, *opened))
        except TimeoutError as error:
            if self._opened is opened:
                self._opened = None  # whatever hangs in it is left behind
                self._turn = None if self.takes_many else Lock()
            raise NoAnswer(what, limit_s) from error
        except ComponentError:
            raise
        except Exception as error:
            raise as_ours(error, what, self._secrets) from error

    async def aclose(self) -> None:
        """Close its connections, as far as it has them and says how. Cancelling leaves that to its thread."""
        opened, self._opened = self._opened, None
        if opened is not None:
            with anyio.move_on_after(_CLOSE_S):
                await call_in_abandonable_thread(partial(_close, opened[0]))

    async def _open(self) -> tuple[Any, str]:
        async with self._opening:
            if self._opened is None:
                shown = self._source.url
                try:
                    with anyio.fail_after(ANSWER_S):
                        self._opened = await self._in_thread(self._make)
                except TimeoutError as error:
                    raise NoAnswer(shown, ANSWER_S) from error
                except ComponentError:
                    raise
                except Exception as error:
                    raise as_ours(error, shown, self._secrets) from error
            return self._opened

    def _make(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        url, options = self._source.url, self._options()
        if len(links_of(url)) > 1:
            return _pair(url_to_fs(url, **options))
        kind = file_system(self._source)
        said = {name: value for name, value in kind._get_kwargs_from_urls(url).items() if not name.startswith("url_")}
        try:
            opened = kind(**{**said, **options})
        except TypeError as error:
            raise ComponentUnavailable(
                f"{url} cannot be opened: {error}; check the options of its connection"
            ) from error
        if self.protocol in _S3:
            opened.retries = 1
            opened._call_s3 = partial(_checked_call, opened._call_s3)
        return opened, _path(kind, url)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = dict(_FOR_ALL)
        if self.protocol in _HOSTED:
            options |= _http_options(self._policy)
        if file_system(self._source).__module__ == "fsspec.implementations.sftp":
            options |= {"timeout": _CONNECT_S, "banner_timeout": _CONNECT_S, "auth_timeout": _CONNECT_S}
        if self._connection is not None:
            given = self._connection.given_for(self._source.url)
            self._secrets = tuple(given[name] for name in self._connection.env if len(given[name]) > 3)
            options |= given
        if self.protocol in _S3:
            options["config_kwargs"] = {**_ONCE_MORE, **(options.get("config_kwargs") or {})}
        return options

    def _in_turn(self, work: Callable[[Any, str], T], fs: Any, path: str) -> T:
        turn = self._turn
        if turn is None:
            return work(fs, path)
        with turn:
            return work(fs, path)

    @staticmethod
    async def _in_thread(work: Callable[[], T]) -> T:
        return await call_in_abandonable_thread(work)


def file_system(source: FsspecSource) -> Any:
    """The class of file system for a source. Raises InvalidRequest for a protocol that fsspec does not know or whose
    library is missing, which it names. Blocking: it imports that."""
    try:
        from fsspec import get_filesystem_class
    except ModuleNotFoundError as error:
        raise InvalidRequest("source", str(MissingExtra("a source of type fsspec", "fsspec"))) from error
    protocol = protocol_of(source.url)
    try:
        return get_filesystem_class(protocol)
    except ValueError:
        raise InvalidRequest("source.url", f"there is no file system for {protocol}:// addresses") from None
    except ImportError as error:
        raise InvalidRequest("source.url", f"{protocol}:// addresses need another package: {error}") from error


async def _checked_call(call: Callable[..., Any], method: str, *arguments: Any, **options: Any) -> Any:
    """A call of S3, whose client takes any part of an object for the one that it asked for. Raises TransientError."""
    answer = await call(method, *arguments, **options)
    asked = options.get("Range")
    if method == "get_object" and asked and (wrong := other_range(asked, answer.get("ContentRange") or "")):
        answer["Body"].close()
        raise TransientError(f"{options.get('Bucket')}/{options.get('Key')}: the store sent {wrong}")
    return answer


def _path(kind: Any, url: str) -> str:
    return str(kind._strip_protocol(url))


def _pair(opened: tuple[Any, Any]) -> tuple[Any, str]:
    return opened[0], str(opened[1])


def _http_options(policy: AddressPolicy | None) -> dict[str, Any]:
    import aiohttp

    from phaseflow.components.sources.remote.guarded_http import guarded_client

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=ANSWER_S / 2)
    return {"client_kwargs": {"timeout": timeout}, "get_client": partial(guarded_client, policy)}


def _close(fs: Any) -> None:
    session = getattr(fs, "_session", None) or getattr(fs, "_s3", None)
    close = getattr(type(fs), "close_session", None)
    loop: asyncio.AbstractEventLoop | None = getattr(fs, "loop", None)
    if session is not None and close is not None and loop is not None:
        close(loop, session)
    for name in ("ftp", "client"):  # of plain file systems: what stays open would keep a thread
        held = getattr(fs, name, None)
        close = getattr(held, "close", None)
        if callable(close):
            close()
