"""The source that fsspec reads, against real servers on loopback."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import fsspec
import pytest

from phaseflow import FsspecSource, InvalidRequest, PhaseFlow, Policies, RetryPolicy
from phaseflow.components.operator_file import CONNECTIONS
from phaseflow.components.protocols import Document, Entry, Known, Unchanged
from phaseflow.components.sources.remote import FsspecLoader
from phaseflow.components.sources.remote.connections import NamedConnection
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, SourceDown, TransientError
from tests.components.remote_servers import BUCKET, KEYS, S3, Pages, page_server, s3_server
from tests.stopwatch import Stopwatch, fail_soon

SFTP = {"username": "reader", "password": "open sesame", "look_for_keys": False, "allow_agent": False}


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as found:
        yield found


@pytest.fixture
def s3(server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, and the environment that leads to it."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    return server


def source(url: str, **more: Any) -> FsspecSource:
    return FsspecSource(url, **more)


async def listed(loader: FsspecLoader) -> list[Entry]:
    return [entry async for page in loader.list() for entry in page]


async def read(loader: FsspecLoader, entry: Entry) -> Document:
    found = await loader.load(entry, None)
    assert isinstance(found, Document)
    return found


async def test_what_lies_below_a_prefix_is_listed_and_read(s3: S3) -> None:
    for key in ("read/a.md", "read/sub/b.md", "read/sub/.hidden.md", "read/.git/c.md", "read/x.log", "readable.md"):
        s3.put(key, f"# About {key}\n\nText.")
    loader = FsspecLoader(source(f"s3://{BUCKET}/read", exclude=("*.log",)))
    entries = await listed(loader)
    assert [entry.uri for entry in entries] == ["a.md", "sub/b.md"]
    assert all(entry.stamp and entry.size for entry in entries)
    found = await read(loader, entries[1])
    assert (found.title, found.text) == ("About read/sub/b.md", "# About read/sub/b.md\n\nText.")
    await loader.aclose()


async def test_more_files_than_a_page_come_in_pages(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        s3.put(f"many/{number:02}.md", "text")
    monkeypatch.setattr("phaseflow.components.sources.remote.listing.PAGE_SIZE", 2)
    loader = FsspecLoader(source(f"s3://{BUCKET}/many/"))
    pages = [len(page) async for page in loader.list()]
    assert pages == [2, 2, 1]
    await loader.aclose()


async def test_a_second_job_downloads_nothing_and_a_third_what_has_changed(s3: S3, tmp_path: Path) -> None:
    for number in range(12):
        s3.put(f"jobs/{number}.md", f"# Page {number}\n\nText of page {number}.")
    url = f"s3://{BUCKET}/jobs"
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        first = await (await flow.start("kb", url)).wait()
        assert (first.status, first.metrics.documents_loaded) == ("completed", 12)
        s3.requests.seen.clear()
        second = await (await flow.start("kb", url)).wait()
        assert (second.status, second.metrics.documents_unchanged) == ("completed", 12)
        assert s3.requests.reads() == []
        s3.put("jobs/3.md", "# Page 3\n\nIt says something else now.")
        s3.client.delete_object(Bucket=BUCKET, Key="jobs/4.md")
        third = await (await flow.start("kb", url)).wait()
        assert (third.metrics.documents_unchanged, third.metrics.documents_deleted) == (10, 1)
        assert {each.split()[1].partition("?")[0] for each in s3.requests.reads()} == {f"/{BUCKET}/jobs/3.md"}
        assert "something else" in await flow.document_text("kb", "3.md")


ODD = [
    "/lead.md", "a//b///c.md", "./dot.md", "../up.md", "..", " blank/x.md", "x .md", "q?a=1.md", "h#b.md", "pct%20.md",
    "back\\slash.md", "tab\tx.md", "[b].md", "A.md", "a.md", "caf\u00e9.md", "cafe\u0301.md", "x.md", "x.md/y.md",
]  # fmt: skip


async def test_a_key_is_listed_and_read_whatever_it_looks_like(s3: S3) -> None:
    for key in (*ODD, ".hidden.md", "..hidden/x.md"):
        s3.put(f"keys/{key}", f"This is {key!r}.")
    loader = FsspecLoader(source(f"s3://{BUCKET}/keys"))
    entries = {entry.uri: entry for entry in await listed(loader)}
    assert entries.keys() == set(ODD)
    for key in ("..", "../up.md", "a//b///c.md"):
        assert (await read(loader, entries[key])).text == f"This is {key!r}."
    await loader.aclose()


@pytest.mark.thorough
async def test_each_key_is_a_document_of_its_own_whatever_it_looks_like(s3: S3, tmp_path: Path) -> None:
    for key in (*ODD, ".hidden.md", "..hidden/x.md"):
        s3.put(f"odd/{key}", f"This is {key!r}.")
    s3.client.put_object(Bucket=BUCKET, Key="odd/folder/", Body=b"")
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        first = await (await flow.start("kb", f"s3://{BUCKET}/odd")).wait()
        assert (first.status, first.metrics.documents_failed) == ("completed", 0)
        found = (await flow.documents("kb", limit=100)).items
        assert {each.uri for each in found} == set(ODD)
        for each in found:
            assert (await flow.document_text("kb", each.id)).strip() == f"This is {each.uri!r}."
        s3.client.delete_object(Bucket=BUCKET, Key="odd/../up.md")
        s3.client.delete_object(Bucket=BUCKET, Key="odd/cafe\u0301.md")
        s3.requests.seen.clear()
        second = await (await flow.start("kb", f"s3://{BUCKET}/odd")).wait()
        assert (second.metrics.documents_unchanged, second.metrics.documents_deleted) == (len(ODD) - 2, 2)
        assert s3.requests.reads() == []
        left = {each.uri for each in (await flow.documents("kb", limit=100)).items}
        assert left == set(ODD) - {"../up.md", "cafe\u0301.md"}


async def test_a_key_that_ends_in_a_slash_and_holds_something_is_told(s3: S3, tmp_path: Path) -> None:
    for key in ("slash/a.md", "slash/a.md/", "slash/out/b.md/", "slash/"):
        s3.put(key, f"This is {key!r}.")
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        done = await (await flow.start("kb", source(f"s3://{BUCKET}/slash", exclude=("out",)))).wait()
        assert (done.status, done.metrics.documents_found, done.metrics.documents_failed) == ("completed", 3, 2)
        failed = {each.uri: each for each in (await flow.failures("kb")).items}
        assert {*failed} == {"a.md/", "slash/"}
        assert failed["a.md/"].code == "unreadable"
        assert "ends in a slash" in failed["a.md/"].error
        assert await flow.document_text("kb", "a.md") == "This is 'slash/a.md'."


class _Objects(fsspec.AbstractFileSystem):
    """A store of objects in which a file and a folder have the same name."""

    protocol = "objects"
    below = True

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "type": "directory"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        file = {"name": "store/a.md", "type": "file", "size": 3, "etag": "1"}
        if path == "store":
            return [file, {"name": "store/a.md", "type": "directory", "size": 0}]
        return [{"name": "store/a.md/b.md", "type": "file", "size": 3, "etag": "2"}] if self.below else [file]


async def test_a_file_and_a_folder_of_one_name_are_both_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("objects", _Objects, clobber=True)
    assert [entry.uri for entry in await listed(FsspecLoader(source("objects://store")))] == ["a.md", "a.md/b.md"]
    monkeypatch.setattr(_Objects, "below", False)  # of a library that has only the file
    loader = FsspecLoader(source("objects://store"))
    entries = await listed(loader)
    assert [(entry.uri, entry.hides_others) for entry in entries] == [("a.md", False), ("a.md/", True)]
    with pytest.raises(DocumentError, match="ends in a slash"):
        await loader.load(entries[1], None)


class _Denying(fsspec.AbstractFileSystem):
    """A server that says of a folder which it does not let be read that it is not there, as those of FTP do."""

    protocol = "denying"
    denied: set[str] = set()  # noqa: RUF012  # of the test
    has_all = True

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if not self.has_all or (path == "store/b" and "b" not in self.denied):
            raise FileNotFoundError(path)
        return {"name": path, "type": "directory"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        if path == "store":
            return [{"name": f"store/{name}", "type": "directory", "size": 0} for name in "ab"]
        if path == "store/b":
            raise FileNotFoundError(path)
        return [{"name": f"{path}/c.md", "type": "file", "size": 3, "etag": "1"}]

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        raise FileNotFoundError(path)


@pytest.fixture
def denying(monkeypatch: pytest.MonkeyPatch) -> FsspecLoader:
    fsspec.register_implementation("denying", _Denying, clobber=True)
    monkeypatch.setattr(_Denying, "denied", {"b"})
    return FsspecLoader(source("denying://store"))


async def test_a_folder_that_is_named_and_cannot_be_listed_hides_what_is_in_it(
    denying: FsspecLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = await listed(denying)
    assert [(entry.uri, entry.hides_others) for entry in entries] == [("a/c.md", False), ("b/", True)]
    with pytest.raises(DocumentError, match="the folder b/ cannot be listed") as caught:
        await denying.load(entries[1], None)
    assert (caught.value.code, caught.value.gone) == ("unreadable", False)
    monkeypatch.setattr(_Denying, "denied", set())
    with pytest.raises(DocumentError) as caught:
        await denying.load(entries[1], None)
    assert caught.value.gone


async def test_a_file_that_is_not_there_is_gone_only_where_its_source_is_there(
    denying: FsspecLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = await listed(denying)
    with pytest.raises(DocumentError) as caught:
        await denying.load(file, None)
    assert caught.value.gone
    monkeypatch.setattr(_Denying, "has_all", False)
    with pytest.raises(ComponentUnavailable, match="there is nothing at denying://store any more"):
        await denying.load(file, None)


async def test_an_object_of_a_bucket_that_is_away_is_not_gone(s3: S3) -> None:
    s3.client.create_bucket(Bucket="moved")
    s3.client.put_object(Bucket="moved", Key="a.md", Body=b"text")
    loader = FsspecLoader(source("s3://moved"))
    (entry,) = await listed(loader)
    s3.client.delete_object(Bucket="moved", Key="a.md")
    with pytest.raises(DocumentError) as caught:
        await loader.load(entry, None)
    assert caught.value.gone
    s3.client.delete_bucket(Bucket="moved")
    with pytest.raises(ComponentUnavailable, match="has no bucket of that name"):
        await loader.load(entry, None)
    await loader.aclose()


async def test_one_object_is_a_source_too(s3: S3) -> None:
    s3.put("single/manual.md", "# Manual\n\nText.")
    loader = FsspecLoader(source(f"s3://{BUCKET}/single/manual.md"))
    entries = await listed(loader)
    assert [entry.uri for entry in entries] == ["manual.md"]
    assert (await read(loader, entries[0])).title == "Manual"
    await loader.aclose()


async def test_nothing_of_that_name_is_no_empty_source(s3: S3) -> None:
    for place in ("no-such-bucket/x", f"{BUCKET}/no/such/prefix"):
        loader = FsspecLoader(source(f"s3://{place}"))
        with pytest.raises(ComponentUnavailable, match=r"is not there|there is nothing at"):
            await listed(loader)
        await loader.aclose()


async def test_an_object_that_has_gone_since_is_gone(s3: S3) -> None:
    s3.put("gone/a.md", "text")
    loader = FsspecLoader(source(f"s3://{BUCKET}/gone"))
    entries = await listed(loader)
    s3.client.delete_object(Bucket=BUCKET, Key="gone/a.md")
    with pytest.raises(DocumentError) as caught:
        await loader.load(entries[0], None)
    assert (caught.value.code, caught.value.gone) == ("not_found", True)
    await loader.aclose()


async def test_an_object_over_the_limit_is_not_fetched(s3: S3) -> None:
    s3.put("large/a.md", "x" * 5000)
    loader = FsspecLoader(source(f"s3://{BUCKET}/large"), max_bytes=4000)
    entries = await listed(loader)
    s3.requests.seen.clear()
    with pytest.raises(DocumentError, match="4,000") as caught:
        await loader.load(entries[0], None)
    assert caught.value.code == "too_large"
    assert s3.requests.reads() == []
    await loader.aclose()


async def test_a_named_connection_brings_address_and_keys(
    server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("named/a.md", "# Found\n\nText.")
    for name in (*KEYS, "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OUR_KEY", KEYS["AWS_ACCESS_KEY_ID"])
    monkeypatch.setenv("OUR_SECRET", KEYS["AWS_SECRET_ACCESS_KEY"])
    connections = tmp_path / "connections.json"
    connections.write_text(
        json.dumps({
            "store": {
                "protocol": "s3", "options": {"endpoint_url": server.url},
                "env": {"key": "OUR_KEY", "secret": "OUR_SECRET"},
            }
        })
    )  # fmt: skip
    monkeypatch.setenv(CONNECTIONS, str(connections))
    given = {"type": "fsspec", "url": f"s3://{BUCKET}/named", "connection": "store"}
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        final = await (await flow.start("kb", given)).wait()
        assert (final.status, final.metrics.documents_loaded) == ("completed", 1)
        assert (await flow.kb("kb")).source == source(f"s3://{BUCKET}/named", connection="store")
        with pytest.raises(InvalidRequest, match="there is no connection 'other'; known: store"):
            await flow.start("kb2", {**given, "connection": "other"})
        monkeypatch.delenv("OUR_SECRET")
        failed = await (await flow.start("kb")).wait()
        assert failed.status == "failed"
        assert "set OUR_SECRET" in str(failed.error)


async def test_files_over_sftp(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("# A\n\nText.")
    (folder / "sub" / "b c.md").write_text("# B\n\nText.")
    (folder / "sub" / "link.md").symlink_to(folder / "a.md")
    (folder / ".hidden").write_text("no")
    for each in (folder / "a.md", folder / "sub" / "b c.md"):
        os.utime(each, (1_000_000, 1_000_000))
    from tests.components.sftp_server import sftp_server  # here: what it imports takes long

    with sftp_server(tmp_path) as port:
        connection = NamedConnection(protocol="sftp", options={"host": "127.0.0.1", "port": port, **SFTP})
        loader = FsspecLoader(source("sftp:///docs"), connection=connection)
        entries = await listed(loader)
        assert [entry.uri for entry in entries] == ["a.md", "sub/b c.md"]
        assert all(entry.stamp for entry in entries)
        assert (await read(loader, entries[1])).title == "B"
        (folder / "a.md").unlink()
        with pytest.raises(DocumentError) as caught:
            await loader.load(entries[0], None)
        assert caught.value.gone
        await loader.aclose()
        wrong = NamedConnection(protocol="sftp", options={**connection.options, "password": "a guess"})
        refused = FsspecLoader(source("sftp:///docs"), connection=wrong)
        with pytest.raises(ComponentUnavailable, match="access denied"):
            await listed(refused)
        await refused.aclose()


async def test_pages_of_a_server_of_files_are_asked_for_and_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.md", "sub/b.md"):
        (tmp_path / name).write_text(f"# {name}\n\nText.")
        os.utime(tmp_path / name, (1_000_000, 1_000_000))
    with page_server(tmp_path) as (url, requests):
        loader = FsspecLoader(source(f"{url}/"))
        entries = await listed(loader)
        assert [entry.uri for entry in entries] == ["a.md", "sub/b.md"]
        found = [await read(loader, entry) for entry in entries]
        assert [document.title for document in found] == ["a.md", "sub/b.md"]
        requests.seen.clear()
        known = Known(found[0].content_hash, found[0].stamp)
        assert isinstance(await loader.load(entries[0], known), Unchanged)
        assert requests.reads() == []
        await loader.aclose()


def _answers(status: int) -> Any:
    def make(kind: type[Pages]) -> type[Pages]:
        class Refusing(kind):  # type: ignore[misc, valid-type]  # a base that is given
            def do_GET(self) -> None:  # noqa: N802  # the name that http.server wants
                if "secret" in self.path:
                    self.send_error(status)
                else:
                    super().do_GET()

            do_HEAD = do_GET  # noqa: N815  # the name that http.server wants

        return Refusing

    return make


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, DocumentError, "access denied, 403"),
        (404, DocumentError, "is not there"),
        (429, TransientError, "slow down"),
        (503, TransientError, "503"),
    ],
)
async def test_what_a_server_refuses_is_said_in_words(
    tmp_path: Path, status: int, kind: type[Exception], words: str
) -> None:
    with page_server(tmp_path, _answers(status)) as (url, _):
        loader = FsspecLoader(source(f"{url}/"))
        with pytest.raises(kind, match=words):
            await loader.load(Entry("secret.md"), None)
        await loader.aclose()


async def test_a_server_that_is_down_is_the_source_and_not_the_document() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        loader = FsspecLoader(source(f"http://127.0.0.1:{closed.getsockname()[1]}/"))
        with pytest.raises(SourceDown):
            await loader.load(Entry("a.md"), None)
        await loader.aclose()


class _Hanging(fsspec.AbstractFileSystem):
    """Lists one file, and never gives it."""

    protocol = "hanging"
    released = threading.Event()
    calls = 0

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": "", "type": "directory"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        return [{"name": "a.md", "type": "file", "size": 3, "etag": "1"}]

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        _Hanging.calls += 1
        self.released.wait()
        raise FileNotFoundError(path)


@pytest.fixture
def hanging() -> Iterator[None]:
    _Hanging.released.clear()
    _Hanging.calls = 0
    fsspec.register_implementation("hanging", _Hanging, clobber=True)
    yield
    _Hanging.released.set()


@pytest.mark.usefixtures("hanging")
async def test_a_read_that_hangs_does_not_hold_up_a_cancel(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        job = await flow.start("kb", {"type": "fsspec", "url": "hanging://x"})
        with fail_soon(10):
            while not _Hanging.calls:  # noqa: ASYNC110  # it happens in a thread
                await anyio.sleep(0.01)
        watch = Stopwatch()
        await flow.cancel("kb")
        assert (await job.wait()).status == "cancelled"
        assert watch.within(1)


@pytest.mark.usefixtures("hanging")
async def test_a_read_that_hangs_does_not_hold_up_a_pause(tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        job = await flow.start("kb", {"type": "fsspec", "url": "hanging://x"})
        with fail_soon(10):
            while not _Hanging.calls:  # noqa: ASYNC110  # it happens in a thread
                await anyio.sleep(0.01)
            await flow.pause("kb")
            async for status in job.watch():
                if status.status == "paused":
                    break


@pytest.mark.usefixtures("hanging")
async def test_a_read_that_hangs_is_given_up_after_its_time() -> None:
    loader = FsspecLoader(source("hanging://x"), total_s=0.05)
    entry = (await listed(loader))[0]
    with pytest.raises(TransientError, match="no answer"):
        await loader.load(entry, None)
    with pytest.raises(DocumentError) as caught:
        await loader.load(entry, None)
    assert caught.value.code == "too_slow"


class _Deep(fsspec.AbstractFileSystem):
    """Each folder has one more in it, and so on for ever; or more than are counted."""

    protocol = "deep"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": "", "type": "directory"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        width = 40 if path.startswith("wide") else 1
        return [{"name": f"{path}/{number}", "type": "directory"} for number in range(width)]


@pytest.mark.parametrize("place", ["deep", "wide"])
async def test_a_server_that_makes_up_folders_without_end_is_refused(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("deep", _Deep, clobber=True)
    monkeypatch.setattr("phaseflow.components.sources.remote.listing.MOST_FOLDERS", 1000)
    loader = FsspecLoader(source(f"deep://{place}"))
    with pytest.raises(ComponentUnavailable, match="folders"):
        await listed(loader)


class _Flaky(_Deep):
    protocol = "flaky"
    answers: list[Exception | list[Any]]

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        found = _Flaky.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


async def test_a_list_that_fails_for_a_moment_may_be_asked_for_again() -> None:
    fsspec.register_implementation("flaky", _Flaky, clobber=True)
    _Flaky.answers = [ConnectionResetError("reset"), [{"name": "a.md", "type": "file", "size": 1, "etag": "x"}]]
    loader = FsspecLoader(source("flaky://x"))
    with pytest.raises(SourceDown, match="cannot be reached"):
        await listed(loader)
    assert [entry.uri for entry in await listed(loader)] == ["a.md"]


def test_what_is_secret_is_not_taken_in_an_address() -> None:
    with pytest.raises(ValueError, match="password"):
        source("sftp://me:secret@host/folder")
    with pytest.raises(ValueError, match="protocol"):
        source("just/a/path")


async def test_a_job_waits_out_a_moment_of_trouble(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nText.")
    fail = [503, 503]

    def make(kind: type[Pages]) -> type[Pages]:
        class Failing(kind):  # type: ignore[misc, valid-type]  # a base that is given
            def do_HEAD(self) -> None:  # noqa: N802  # the name that http.server wants
                if self.path.endswith(".md") and fail:
                    self.send_error(fail.pop())
                else:
                    super().do_HEAD()

        return Failing

    policies = Policies(retry=RetryPolicy(first_s=0.01))
    with page_server(tmp_path / "docs", make) as (url, _):
        async with PhaseFlow(tmp_path / "kb.db", policies=policies) as flow:
            final = await (await flow.start("kb", {"type": "fsspec", "url": f"{url}/"})).wait()
            assert (final.status, final.metrics.documents_loaded, fail) == ("completed", 1, [])
