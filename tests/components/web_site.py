"""A web site on a real socket that answers as a test says, and a crawl of it without the engine."""

import asyncio
import gzip
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import anyio
import uvicorn

from phaseflow.components.protocols import Document, Entry, Known, Skipped, Unchanged
from phaseflow.components.sources.web import Limits, WebLoader
from phaseflow.domain.errors import ComponentError
from phaseflow.domain.settings import SOURCE, WebSource
from tests.stopwatch import fail_soon

HTML = "text/html; charset=utf-8"
QUICK = Limits(per_second=100_000)
"""No politeness towards a server of our own."""

Message = MutableMapping[str, Any]
Outcome = Document | Unchanged | Skipped | ComponentError


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. With an ``etag`` among the headers it is 304 for those who have that one; a header of several lines
    is sent once for each."""

    body: bytes = b""
    status: int = 200
    type: str | None = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    """Send the headers and then nothing until the server ends."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    host: str
    path: str
    headers: Mapping[str, str]


class WebSite:
    """Answers from ``pages``: keys are paths with their query, or host and path (``b.test/x``), which go before."""

    def __init__(
        self, pages: Mapping[str, Reply] | None = None, *, port: int = 0, tls: tuple[Path, Path] | None = None
    ) -> None:
        self.pages: dict[str, Reply] = dict(pages or {})
        self.with_cookie: dict[str, Reply] = {}
        """What those get instead who send a cookie."""
        self.asked: list[Asked] = []
        self._news = anyio.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(512)
        self.port = int(self._socket.getsockname()[1])
        self._ending = anyio.Event()
        cert, key = tls or (None, None)
        self._tls: dict[str, Any] = {"ssl_certfile": cert, "ssl_keyfile": key}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(asked.path for asked in self.asked)

    async def until_asked(self, path: str) -> None:
        """Wait for a request of this path, from another process too."""
        while not self.paths[path]:
            await self._news.wait()

    def at(self, host: str, path: str = "/") -> str:
        """The address of a page under another name of this server."""
        return f"http://{host}:{self.port}{path}"

    def loader(self, *paths: str, max_pages: int = 500, max_depth: int | None = None, **options: Any) -> WebLoader:
        """A loader that may come here, from these paths or addresses on."""
        urls = [path if "://" in path else self.url + path for path in paths or ("/",)]
        settings = {"allow_private": [f"127.0.0.1:{self.port}"], "limits": QUICK, **options}
        return WebLoader(web_source(*urls, max_pages=max_pages, max_depth=max_depth), **settings)

    async def __aenter__(self) -> Self:
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=2,
            **self._tls,
        )
        self._task = asyncio.create_task(_Server(config, self._ending).serve(sockets=[self._socket]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending.set()
        with fail_soon(5, shield=True):
            await self._task

    async def _answer(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        path = scope["raw_path"].decode() + (f"?{query}" if query else "")
        host = headers["host"].partition(":")[0]
        self.asked.append(Asked(host, path, headers))
        self._news.set()
        self._news = anyio.Event()
        own = self.with_cookie.get(path) if "cookie" in headers else None
        reply = own or self.pages.get(host + path) or self.pages.get(path) or Reply(b"not here", 404)
        reply = replace(reply, body=reply.body.replace(b"@path", path.encode()))  # else pages would be the same
        etag = reply.headers.get("etag")
        if etag is not None and headers.get("if-none-match") == etag:
            reply = Reply(status=304, type=None, headers=reply.headers)
        await send({"type": "http.response.start", "status": reply.status, "headers": _raw(reply)})
        if reply.hang:
            await self._ending.wait()
        await send({"type": "http.response.body", "body": reply.body})


class _Server(uvicorn.Server):
    """Leaves the signals to the test, and ends on an event."""

    def __init__(self, config: uvicorn.Config, ending: anyio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def main_loop(self) -> None:
        await self._ending.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Names:
    """A resolver for tests: each name gives its answers in turn, and the last one for ever."""

    def __init__(self, answers: Mapping[str, Sequence[str | Sequence[str]]] | None = None) -> None:
        self._answers = {name: list(given) for name, given in (answers or {}).items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._answers.get(host)
        if answers is None:
            return [host if host[0].isdigit() or ":" in host else "127.0.0.1"]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [answer] if isinstance(answer, str) else answer


@dataclass(slots=True)
class Crawl:
    """What became of every entry, in the order found."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)

    def of(self, kind: type[Any]) -> list[str]:
        return [uri for uri, outcome in self.outcomes.items() if isinstance(outcome, kind)]

    @property
    def documents(self) -> dict[str, Document]:
        return {uri: outcome for uri, outcome in self.outcomes.items() if isinstance(outcome, Document)}

    @property
    def failures(self) -> dict[str, ComponentError]:
        return {uri: outcome for uri, outcome in self.outcomes.items() if isinstance(outcome, ComponentError)}

    def known(self) -> dict[str, Known]:
        return {uri: Known(document.content_hash, document.stamp) for uri, document in self.documents.items()}


async def crawl(loader: WebLoader, known: Mapping[str, Known] | None = None) -> Crawl:
    """Load what the loader lists, then the links of that, and so on; ends the loader. Nothing is tried twice."""
    done = Crawl()
    async with loader:
        page = [entry async for entries in loader.list() for entry in entries]
        while page:
            done.depths.update((entry.uri, entry.depth) for entry in page)
            await _load_all(loader, page, known or {}, done)
            links = [link for entry in page for link in getattr(done.outcomes[entry.uri], "links", ())]
            page = list({link.uri: link for link in reversed(links) if link.uri not in done.depths}.values())[::-1]
    return done


async def _load_all(loader: WebLoader, page: Sequence[Entry], known: Mapping[str, Known], done: Crawl) -> None:
    limit = anyio.CapacityLimiter(loader.in_flight)
    outcomes: dict[str, Outcome] = {}

    async def load(entry: Entry) -> None:
        async with limit:
            try:
                outcomes[entry.uri] = await loader.load(entry, known.get(entry.uri))
            except ComponentError as error:
                outcomes[entry.uri] = error

    async with anyio.create_task_group() as tasks:
        for entry in page:
            tasks.start_soon(load, entry)
    done.outcomes.update((entry.uri, outcomes[entry.uri]) for entry in page)


def web_source(*urls: str, max_pages: int = 500, max_depth: int | None = None) -> WebSource:
    source = SOURCE.validate_python({"type": "web", "urls": urls, "max_pages": max_pages, "max_depth": max_depth})
    assert isinstance(source, WebSource)
    return source


def html(*links: str, head: str = "", text: str = "Words of the page.", title: str = "A page") -> Reply:
    """A page with these links."""
    anchors = "".join(f'<a href="{link}">there</a> ' for link in links)
    return Reply(f"<!doctype html><title>{title}</title>{head}<body><p>{text}</p>{anchors}</body><!--@path-->".encode())


def moved(to: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"location": to})


def sitemap(*urls: str, index: bool = False, packed: bool = False) -> Reply:
    """A sitemap of these addresses, or an index of them."""
    root, row = ("sitemapindex", "sitemap") if index else ("urlset", "url")
    rows = "".join(f"<{row}><loc>{url}</loc></{row}>" for url in urls)
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    text = f'<?xml version="1.0"?><{root} xmlns="{space}">{rows}</{root}>'
    if packed:
        return Reply(gzip.compress(text.encode()), type="application/gzip")
    return Reply(text.encode(), type="application/xml")


def robots(text: str) -> Reply:
    return Reply(text.encode(), type="text/plain")


def static_files(root: Path, base: str, url: str) -> dict[str, Reply]:
    """Replies for the files below ``root``, with the address they were written for replaced by this one."""
    types = {".html": "text/html", ".txt": "text/plain", ".xml": "application/xml"}
    pages: dict[str, Reply] = {}
    for file in root.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            if file.suffix != ".html":
                data = data.replace(base.encode(), url.encode())
            headers = {"etag": f'"{hash(data):x}"'}
            pages[f"/{file.relative_to(root).as_posix()}"] = Reply(data, type=types.get(file.suffix), headers=headers)
    return pages


def _raw(reply: Reply) -> list[tuple[bytes, bytes]]:
    headers = dict(reply.headers)
    if reply.type is not None:
        headers.setdefault("content-type", reply.type)
    if reply.status != 304 and not reply.hang:
        headers.setdefault("content-length", str(len(reply.body)))
    return [(name.encode(), line.encode("latin-1")) for name, value in headers.items() for line in value.split("\n")]
