"""The source that reads Git repositories: local ones, and one that is served over HTTP on loopback."""

import io
import json
import os
import socket
import stat
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, Tag, Tree
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import WSGIRequestHandlerLogger, WSGIServerLogger, make_wsgi_chain

from phaseflow import FsspecSource, GitSource, GuardPolicy, InvalidRequest, PhaseFlow, Policies
from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources.git import GitLoader, repositories
from phaseflow.components.sources.git.pack_check import check_pack
from phaseflow.components.sources.git.places import Place
from phaseflow.components.sources.git.repositories import Fetch, Repositories
from phaseflow.components.sources.remote import FsspecLoader
from phaseflow.components.sources.remote.connections import NamedConnection
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, RateLimited, SourceDown, SourceNotAllowed
from phaseflow.flow.remote_sources import RemoteSources
from tests.engine.test_control import until
from tests.matrices import together
from tests.stopwatch import fail_soon

LINK = 0o120000
SUBMODULE = 0o160000
FILE = 0o100644
WHO = b"Someone <someone@example.org>"


class Made:
    """A repository whose commits are written here, object by object."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self.repo = Repo.init_bare(str(path))

    def commit(self, files: dict[str, str | tuple[int, bytes]], branch: str = "main") -> bytes:
        tree = self._tree({tuple(name.split("/")): content for name, content in files.items()})
        commit = Commit()
        commit.tree = tree
        head = f"refs/heads/{branch}".encode()
        commit.parents = [self.repo.refs[head]] if head in self.repo.refs else []
        commit.author = commit.committer = WHO
        commit.author_time = commit.commit_time = 1_700_000_000 + len(commit.parents)
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"A commit"
        self.repo.object_store.add_object(commit)
        self.repo.refs[head] = commit.id
        self.repo.refs.set_symbolic_ref(b"HEAD", b"refs/heads/main")
        return bytes(commit.id)

    def tag(self, name: str, commit: bytes) -> None:
        tag = Tag()
        tag.tagger, tag.tag_time, tag.tag_timezone = WHO, 1_700_000_000, 0
        tag.name, tag.message, tag.object = name.encode(), b"A tag", (Commit, commit)
        self.repo.object_store.add_object(tag)
        self.repo.refs[f"refs/tags/{name}".encode()] = tag.id

    def _tree(self, files: dict[tuple[str, ...], Any]) -> bytes:
        tree = Tree()
        for name in {path[0] for path in files}:
            below = {path[1:]: content for path, content in files.items() if path[0] == name and len(path) > 1}
            if below:
                tree.add(name.encode(), stat.S_IFDIR, self._tree(below))
                continue
            content = files[(name,)]
            mode, data = (FILE, content.encode()) if isinstance(content, str) else content
            if mode == SUBMODULE:
                tree.add(name.encode(), mode, data)
                continue
            blob = Blob.from_string(data)
            self.repo.object_store.add_object(blob)
            tree.add(name.encode(), mode, blob.id)
        self.repo.object_store.add_object(tree)
        return bytes(tree.id)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    found = Made(tmp_path / "repository")
    yield found
    found.repo.close()


class Quiet(WSGIRequestHandlerLogger):
    """Notes what is asked for before it is answered: once a client has its answer, everything it has asked is noted."""

    def get_environ(self) -> Any:
        self.server.asked.append(self.path)
        self.server.headers.append({name.lower() for name in self.headers})
        return super().get_environ()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """It would come after the answer."""


@pytest.fixture
def served(made: Made) -> Iterator[tuple[str, list[str]]]:
    """The repository over HTTP: its address, and what is asked for."""
    application = make_wsgi_chain(DictBackend({"/docs.git": made.repo}))
    with serving(application) as server:
        yield f"http://127.0.0.1:{server.server_port}/docs.git", server.asked


@contextmanager
def serving(application: Any) -> Iterator[Any]:
    """A server on loopback that notes the paths it is asked for, and the names of the headers."""
    server: Any = WSGIServerLogger(("127.0.0.1", 0), Quiet)
    server.asked, server.headers = [], []
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


async def listed(loader: GitLoader) -> list[Entry]:
    return [entry async for page in loader.list() for entry in page]


FILES: dict[str, str | tuple[int, bytes]] = {
    "README.md": "# Read me\n\nText.",
    "docs/guide.md": "# Guide\n\nText of the guide.",
    "docs/deep/more.md": "# More\n\nEven more.",
    "docs/passwd.md": (LINK, b"/etc/passwd"),
    "vendor": (SUBMODULE, b"1" * 40),
    ".hidden/x.md": "no",
    ".gitignore": "docs/\n",
}
URIS = ["README.md", "docs/deep/more.md", "docs/guide.md"]


async def test_a_repository_over_http_is_read_from_its_objects(
    made: Made, served: tuple[str, list[str]], tmp_path: Path
) -> None:
    made.commit(FILES)
    copies = tmp_path / "kb.db.repositories"
    loader = GitLoader(GitSource(served[0]), repositories=Repositories(copies))
    entries = await listed(loader)
    assert [entry.uri for entry in entries] == URIS
    found = await loader.load(entries[2], None)
    assert isinstance(found, Document)
    assert (found.title, found.text) == ("Guide", "# Guide\n\nText of the guide.")
    await loader.aclose()
    assert stat.S_IMODE(copies.stat().st_mode) == 0o700
    assert not [path for path in copies.rglob("*") if path.name in {"guide.md", "README.md"}]


async def test_a_second_job_reads_only_blobs_that_are_new(
    made: Made, served: tuple[str, list[str]], tmp_path: Path
) -> None:
    made.commit(FILES)
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        first = await (await flow.start("kb", f"git+{served[0]}")).wait()
        assert (first.status, first.metrics.documents_loaded) == ("completed", 3)
        served[1].clear()
        second = await (await flow.start("kb")).wait()
        assert (second.status, second.metrics.documents_unchanged) == ("completed", 3)
        assert not [asked for asked in served[1] if asked.endswith("/git-upload-pack")]
        made.commit({**FILES, "docs/guide.md": "# Guide\n\nIt says something else.", "new.md": "# New"})
        third = await (await flow.start("kb")).wait()
        assert (third.metrics.documents_unchanged, third.metrics.documents_loaded) == (2, 2)
        assert "something else" in await flow.document_text("kb", "docs/guide.md")
        await flow.delete_kb("kb")
        assert list((tmp_path / "kb.db.repositories").iterdir()) == []


async def test_a_pause_does_not_wait_for_a_fetch(
    made: Made, served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.commit(FILES)
    asked, may_answer, opened = threading.Event(), threading.Event(), DictBackend.open_repository

    def hanging(self: DictBackend, path: str) -> Any:
        asked.set()
        assert may_answer.wait(60)
        return opened(self, path)

    monkeypatch.setattr(DictBackend, "open_repository", hanging)
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        try:
            job = await flow.start("kb", f"git+{served[0]}")
            assert await anyio.to_thread.run_sync(asked.wait, 60)
            with fail_soon(10):
                await flow.pause("kb")
                assert (await job.wait_until_idle()).status == "paused"
        finally:
            may_answer.set()
        await flow.resume("kb")
        with fail_soon(20):
            final = await job.wait()
    assert (final.status, final.metrics.documents_loaded) == ("completed", 3)


@pytest.mark.parametrize("ref", ["old", "v1", "refs/heads/old", None, "commit"])
async def test_a_branch_a_tag_or_a_commit_is_read(
    made: Made, served: tuple[str, list[str]], tmp_path: Path, ref: str | None
) -> None:
    old = made.commit({"old.md": "# Old"}, "old")
    made.tag("v1", old)
    made.commit({"new.md": "# New"})
    source = GitSource(served[0], ref=old.decode() if ref == "commit" else ref)
    for url in (served[0], str(made.path), f"file://{made.path}"):
        loader = GitLoader(GitSource(url, ref=source.ref), repositories=Repositories(tmp_path / "copies"))
        assert [entry.uri for entry in await listed(loader)] == ["new.md" if ref is None else "old.md"]
        await loader.aclose()


async def test_globs_choose_and_nothing_is_copied_of_a_local_repository(made: Made, tmp_path: Path) -> None:
    made.commit(FILES)
    source = GitSource(str(made.path), include=("docs/**",), exclude=("deep/",))
    loader = GitLoader(source, repositories=Repositories(tmp_path / "copies"))
    assert [entry.uri for entry in await listed(loader)] == ["docs/guide.md"]
    await loader.aclose()
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize(
    ("ref", "words"), [("nothing", "no branch or tag 'nothing'"), ("f" * 40, "no commit|not|did not send")]
)
async def test_a_ref_that_there_is_not_is_named(made: Made, ref: str, words: str) -> None:
    made.commit(FILES)
    loader = GitLoader(GitSource(str(made.path), ref=ref))
    with pytest.raises(ComponentUnavailable, match=words):
        await listed(loader)
    await loader.aclose()


async def test_an_empty_repository_and_none_are_said_to_be_so(made: Made, tmp_path: Path) -> None:
    for url, words in ((str(made.path), "is empty"), (str(tmp_path), "there is no repository")):
        loader = GitLoader(GitSource(url))
        with pytest.raises(ComponentUnavailable, match=words):
            await listed(loader)
        await loader.aclose()


async def test_a_server_that_knows_no_such_repository_or_is_down(
    made: Made, served: tuple[str, list[str]], tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{closed.getsockname()[1]}/docs.git"
        for url, kind, words in (
            (f"{served[0]}x", ComponentUnavailable, "is not there"), (down, SourceDown, "cannot be reached"),
        ):  # fmt: skip
            loader = GitLoader(GitSource(url), repositories=Repositories(tmp_path / "copies"))
            with pytest.raises(kind, match=words):
                await listed(loader)
            await loader.aclose()


async def test_private_addresses_are_for_those_that_the_operator_allows(
    made: Made, served: tuple[str, list[str]], tmp_path: Path
) -> None:
    made.commit(FILES)
    host = served[0].split("/")[2]
    for allowed in ((), (host,)):
        loader = GitLoader(
            GitSource(served[0]), repositories=Repositories(tmp_path / "copies"), policy=AddressPolicy(allowed)
        )
        if allowed:
            assert len(await listed(loader)) == 3
        else:
            with pytest.raises(ComponentUnavailable, match="not public"):
                await listed(loader)
            assert not served[1]
        await loader.aclose()


async def test_what_git_lfs_keeps_is_not_taken_for_the_file(made: Made) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    made.commit({"a.pdf": pointer})
    loader = GitLoader(GitSource(str(made.path)))
    with pytest.raises(DocumentError, match="LFS") as caught:
        await loader.load((await listed(loader))[0], None)
    assert caught.value.code == "unsupported_format"
    await loader.aclose()


async def test_a_fetch_over_its_limit_ends(made: Made, served: tuple[str, list[str]], tmp_path: Path) -> None:
    made.commit({"a.md": os.urandom(40_000).hex()})
    client, path = Place(served[0]).client(None, None)
    with pytest.raises(ComponentUnavailable, match="more than the 5,000 bytes"):
        Fetch(client, path, None, served[0], max_pack=5000).run(tmp_path / "copy")
    client.close()


def _pack(size: int, data: bytes) -> io.BytesIO:
    """A pack of one file that says to have this size."""
    head, kind, rest = b"", 3, size
    byte = kind << 4 | rest & 15
    rest >>= 4
    while rest:
        head += bytes([byte | 0x80])
        byte, rest = rest & 0x7F, rest >> 7
    head += bytes([byte])
    return io.BytesIO(b"PACK" + struct.pack(">II", 2, 1) + head + zlib.compress(data) + b"\0" * 20)


def test_an_object_that_unpacks_to_more_than_memory_is_refused_unseen() -> None:
    check_pack(_pack(1000, b"x" * 1000))
    with pytest.raises(ComponentUnavailable, match="holds a file of 1,099,511,627,776 bytes"):
        check_pack(_pack(1 << 40, b"x"))
    with pytest.raises(ComponentUnavailable, match="ends too early"):
        check_pack(io.BytesIO(_pack(1000, b"x" * 1000).getvalue()[:-30]))
    with pytest.raises(ComponentUnavailable, match="not a pack"):
        check_pack(io.BytesIO(b"<html>"))


@together(
    ("size", "unit"),
    product(
        [0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 100_000, 1 << 20],
        [b"\0", b"the same few words ", bytes(range(256))],
    ),
)
def test_a_look_at_a_pack_unpacks_each_byte_once(size: int, unit: bytes) -> None:
    pieces = 0

    def count() -> None:
        nonlocal pieces
        pieces += 1
        if pieces > size // 1000 + 10:
            raise AssertionError("the look goes on behind the end of the file")

    pack = _pack(size, (unit * (size // len(unit) + 1))[:size])
    check_pack(pack, may_go_on=count)
    assert pack.read() == b"\0" * 20


@together("said", [0, 1000, 70_000, 1 << 20])
def test_an_object_that_is_not_as_large_as_it_says_is_damaged(said: int) -> None:
    pieces = [None] * (said // (1 << 16) + 2)
    with pytest.raises(ComponentUnavailable, match="damaged"):
        check_pack(_pack(said, b"\0" * ((1 << 20) - 1)), may_go_on=pieces.pop)


async def test_a_file_of_a_million_bytes_that_packs_well_is_fetched(
    made: Made, served: tuple[str, list[str]], tmp_path: Path
) -> None:
    made.commit({"a.md": "# A", "words.txt": "some words of text " * 50_000})
    loader = GitLoader(GitSource(served[0]), repositories=Repositories(tmp_path / "copies"))
    with fail_soon(10):
        entries = await listed(loader)
        found = await loader.load(entries[1], None)
    assert isinstance(found, Document)
    assert len(found.text) > 900_000
    await loader.aclose()


@pytest.mark.parametrize("step", ["check_pack", "add_thin_pack"])
async def test_a_stop_ends_the_unpacking_too(
    made: Made, served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    made.commit({"a.md": os.urandom(1000).hex()})
    client, path = Place(served[0]).client(None, None)
    fetch = Fetch(client, path, None, served[0])
    place = repositories if step == "check_pack" else DiskObjectStore
    unpack = getattr(place, step)

    def stopped_first(*args: Any, **options: Any) -> Any:
        fetch.stop()
        return unpack(*args, **options)

    monkeypatch.setattr(place, step, stopped_first)
    with pytest.raises(ComponentUnavailable, match="to fetch"):
        fetch.run(tmp_path / "copy")
    assert not [each for each in (tmp_path / "copy").rglob("*pack*") if each.is_file()]


async def test_trees_that_contain_each_other_many_times_end(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseflow.components.sources.git.refs.MOST_FILES", 5000)
    blob = Blob.from_string(b"text")
    made.repo.object_store.add_object(blob)
    mode, below = FILE, bytes(blob.id)
    for _ in range(10):
        tree = Tree()
        for number in range(10):
            tree.add(f"{number}".encode(), mode, below)
        made.repo.object_store.add_object(tree)
        mode, below = stat.S_IFDIR, bytes(tree.id)
    commit = Commit()
    commit.tree, commit.author, commit.committer, commit.message = below, WHO, WHO, b"A bomb"
    commit.author_time = commit.commit_time = commit.author_timezone = commit.commit_timezone = 0
    made.repo.object_store.add_object(commit)
    made.repo.refs[b"refs/heads/main"] = commit.id
    loader = GitLoader(GitSource(str(made.path), ref="main"))
    with pytest.raises(ComponentUnavailable, match="5,000 files"):
        await listed(loader)
    await loader.aclose()


def test_a_repository_below_the_roots_borrows_nothing_from_outside(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    outside = Made(tmp_path / "outside")
    outside.commit(FILES)
    borrowing = Made(inside / "borrowing")
    (borrowing.path / "objects" / "info").mkdir(exist_ok=True)
    (borrowing.path / "objects" / "info" / "alternates").write_text(f"{outside.path}/objects\n")
    pointing = inside / "pointing"
    pointing.mkdir()
    (pointing / ".git").write_text(f"gitdir: {outside.path}\n")
    linked = inside / "linked"
    linked.symlink_to(outside.path)
    roots = [str(inside.resolve())]
    for path in (borrowing.path, pointing, linked, outside.path):
        with pytest.raises((SourceNotAllowed, ComponentUnavailable)):
            Place(str(path)).open_here(roots).close()
        Place(str(path)).open_here(None).close()
    borrowing.repo.close()
    outside.repo.close()


async def test_addresses_are_checked_before_they_are_stored(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        for url in ("relative/path", "ftp://host/x", "ext::sh -c id"):
            with pytest.raises(InvalidRequest):
                await flow.put_kb("kb", {"type": "git", "url": url})
        for ref in ("-upload-pack", "a..b", "a b", "../x", "a~1"):
            with pytest.raises(InvalidRequest):
                await flow.put_kb("kb", {"type": "git", "url": "https://example.org/x.git", "ref": ref})
        with pytest.raises(InvalidRequest, match="password"):
            await flow.put_kb("kb", {"type": "git", "url": "https://me:secret@example.org/x.git"})


class Moved:
    """A server whose repository has moved: the one that a connection names, and where it redirects to."""

    def __init__(self, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._made, self._file = made, tmp_path / "connections.json"
        monkeypatch.setenv("PHASEFLOW_CONNECTIONS", str(self._file))

    @contextmanager
    def servers(self) -> Iterator[tuple[Any, Any]]:
        with serving(make_wsgi_chain(DictBackend({"/docs.git": self._made.repo}))) as other:

            def redirect(environ: Any, start: Any) -> list[bytes]:
                to = f"http://127.0.0.1:{other.server_port}{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
                start("302 Found", [("Location", to)])
                return [b""]

            with serving(redirect) as home:
                url = f"http://127.0.0.1:{home.server_port}"
                options = {"username": "me", "password": "secret"}
                self._file.write_text(json.dumps({"ours": {"protocol": "http", "url": url, "options": options}}))
                yield home, other

    async def listed(self, home: Any, **settings: Any) -> list[Entry]:
        source = GitSource(f"http://127.0.0.1:{home.server_port}/docs.git", connection="ours")
        sources = RemoteSources(**{"roots": [], "allow_private": [], "database": None, **settings})
        async with ExtractionPool(size=1) as workers:
            loader: Any = await sources.loader(source, workers)
            try:
                return await listed(loader)
            finally:
                await loader.aclose()


@pytest.fixture
def moved(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Moved:
    made.commit(FILES)
    return Moved(made, tmp_path, monkeypatch)


async def test_a_redirect_from_the_server_of_a_connection_leads_to_nothing_private(moved: Moved) -> None:
    with moved.servers() as (home, other):
        with pytest.raises((ComponentUnavailable, SourceNotAllowed), match="not public"):
            await moved.listed(home)
        assert home.headers[0] >= {"authorization"}
        assert other.asked == []


async def test_a_redirect_to_where_the_operator_lets_it_lead_is_followed_without_credentials(moved: Moved) -> None:
    with moved.servers() as (home, other):
        allowed = [f"127.0.0.1:{other.server_port}"]
        assert [entry.uri for entry in await moved.listed(home, allow_private=allowed)] == URIS
        assert home.headers[0] >= {"authorization"}
        assert len(other.asked) >= 2
        assert not set.union(*other.headers) & {"authorization"}


def test_a_redirect_takes_no_header_along_that_says_who_asks(moved: Moved, tmp_path: Path) -> None:
    with moved.servers() as (home, other):
        url = f"http://127.0.0.1:{home.server_port}/docs.git"
        client, path = Place(url).client(None, None)
        client.pool_manager.headers["X-Key"] = "secret"
        Fetch(client, path, None, url).run(tmp_path / "copy")
        assert home.headers[0] >= {"x-key"}
        assert len(other.asked) >= 2
        assert not set.union(*other.headers) & {"x-key"}


async def test_a_server_that_asks_to_be_asked_later_is_waited_for(made: Made, tmp_path: Path) -> None:
    made.commit(FILES)
    application = make_wsgi_chain(DictBackend({"/docs.git": made.repo}))
    answers = [("429 Too Many", [("Retry-After", "1")])] * 2 + [("429 Too Many", [])] * 3

    def busy(environ: Any, start: Any) -> Any:
        if not answers:
            return application(environ, start)
        start(*answers.pop())
        return [b"not now"]

    with serving(busy) as server:
        source = GitSource(f"http://127.0.0.1:{server.server_port}/docs.git")
        for asked_s in (None, None, None, 1):
            loader = GitLoader(source, repositories=Repositories(tmp_path / "copies"))
            with pytest.raises(RateLimited) as caught:
                await listed(loader)
            assert caught.value.retry_after_s == asked_s
            await loader.aclose()
        async with PhaseFlow(tmp_path / "kb.db") as flow:
            job = await flow.start("kb", source)
            with fail_soon(10):
                await until(flow, lambda seen: seen.waiting_on == "rate_limit")
                final = await job.wait()
    assert (final.status, final.metrics.documents_loaded, final.waiting_on) == ("completed", 3, None)
    assert not answers


async def test_a_server_that_answers_only_that_pauses_the_job(made: Made, tmp_path: Path) -> None:
    def busy(environ: Any, start: Any) -> Any:
        start("429 Too Many", [])
        return [b"not now"]

    with serving(busy) as server:
        policies = Policies(guard=GuardPolicy(rate_limited_s=0.1))
        async with PhaseFlow(tmp_path / "kb.db", policies=policies) as flow:
            job = await flow.start("kb", {"type": "git", "url": f"http://127.0.0.1:{server.server_port}/docs.git"})
            with fail_soon(10):
                final = await job.wait_until_idle()
    assert final.status == "paused"
    assert "answers only with rate limits" in str(final.message)


async def test_a_repository_that_may_not_be_read_is_not_taken_for_one_that_is_down(made: Made, tmp_path: Path) -> None:
    def forbidding(environ: Any, start: Any) -> Any:
        start("403 Forbidden", [])
        return [b"no"]

    with serving(forbidding) as server:
        source = GitSource(f"http://127.0.0.1:{server.server_port}/docs.git")
        loader = GitLoader(source, repositories=Repositories(tmp_path / "copies"))
        with pytest.raises(ComponentUnavailable, match="access denied, 403"):
            await listed(loader)
        await loader.aclose()
        assert len(server.asked) == 1


PLACES = [
    ("http", "http://127.0.0.1:{home}", "http://127.0.0.1:{other}/docs.git"),
    ("http", "http://127.0.0.1:{home}/docs", "http://127.0.0.1:{home}/docs.git"),
    ("https", "http://127.0.0.1:{home}", "http://127.0.0.1:{home}/docs.git"),
    ("https", None, "http://127.0.0.1:{home}/docs.git"),
]
"""Protocol and url of a connection, and an address that it is not for."""


@pytest.mark.parametrize(("protocol", "top", "url"), PLACES)
@pytest.mark.parametrize("kind", ["git", "fsspec"])
async def test_a_key_goes_only_where_the_operator_has_said_whoever_names_the_address(
    moved: Moved, tmp_path: Path, kind: str, protocol: str, top: str | None, url: str
) -> None:
    with moved.servers() as (home, other):
        ports = {"home": home.server_port, "other": other.server_port}
        url = url.format(**ports)
        options = {"username": "me", "password": "secret"} if kind == "git" else {"headers": {"Authorization": "me"}}
        named = {"protocol": protocol, "options": options} | ({"url": top.format(**ports)} if top else {})
        (tmp_path / "connections.json").write_text(json.dumps({"ours": named}))
        async with PhaseFlow(tmp_path / "kb.db") as flow:
            with pytest.raises(SourceNotAllowed, match="the connection is for"):
                await flow.start("kb", {"type": kind, "url": url, "connection": "ours"})
        connection = NamedConnection.model_validate(named)
        loader = (
            GitLoader(GitSource(url), connection=connection)
            if kind == "git"
            else FsspecLoader(FsspecSource(url), connection=connection)
        )
        with pytest.raises(ComponentUnavailable, match="the connection is for"):
            await anext(loader.list())
        await loader.aclose()
        assert home.asked == other.asked == []


@together(
    ("url", "is_named"),
    [
        ("https://docs.example.org/manuals/a", True),
        ("zip://a.md::https://docs.example.org/manuals/a.zip", True),
        ("simplecache::https://docs.example.org/manuals", True),
        ("zip://a.md::https://other.example.org/manuals/a.zip", False),
        ("https://other.example.org::https://docs.example.org/manuals", False),
        ("http://docs.example.org/manuals::https://docs.example.org/manuals", False),
        ("https://docs.example.org/manuals/%2e%2e/a", False),
        ("https://docs.example.org/manuals.evil", False),
        ("s3://docs/manuals", False),
    ],
)
def test_each_server_of_a_chain_is_one_that_the_connection_names(url: str, is_named: bool) -> None:
    connection = NamedConnection(protocol="https", url="https://docs.example.org/manuals/", options={"headers": {}})
    if is_named:
        assert connection.given_for(url) == {"headers": {}}
        return
    with pytest.raises(SourceNotAllowed, match="the connection is for"):
        connection.given_for(url)
