"""Only a part of what was asked for, or another part, or nothing with a good status: none of it is taken for a page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from phaseflow import FsspecSource
from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources.partial_answers import is_whole, other_range
from phaseflow.components.sources.remote import FsspecLoader
from phaseflow.domain.errors import DocumentError, TransientError
from tests.answering import Answers, answering
from tests.components.remote_servers import KEYS
from tests.components.web_site import HTML, Reply, WebSite, crawl, html
from tests.matrices import first_of_each, together
from tests.stopwatch import fail_soon

TEXT = b"# A letter\n\n" + b"Words of it. " * 20
SIZE = len(TEXT)
RANGE = "content-range"


@together(
    ("said", "whole"),
    [
        ("bytes 0-4999/5000", True),
        ("Bytes  0-4999/5000 ", True),
        ("bytes 0-99/5000", False),
        ("bytes 1-4999/5000", False),
        ("bytes 0-4999/*", False),
        ("bytes */5000", False),
        ("items 0-4999/5000", False),
        ("bytes 0-4999/5000, bytes 0-1/2", False),
        ("", False),
        ("bytes 0-" + "9" * 5000, False),
    ],
)
def test_a_range_is_whole_when_it_says_so(said: str, whole: bool) -> None:
    assert is_whole(said) is whole


@together(
    ("asked", "said", "right"),
    [
        ("bytes=0-99", "bytes 0-99/5000", True),
        ("bytes=0-99", "bytes 0-99/*", True),
        ("bytes=100-199", "bytes 100-149/150", True),
        ("bytes=0-99", "", True),
        ("bytes=100-199", "", False),
        ("bytes=100-199", "bytes 0-99/5000", False),
        ("bytes=100-199", "bytes 100-149/5000", False),
        ("bytes=100-199", "bytes 100-149/*", False),
        ("bytes=100-199", "bytes 100-299/5000", False),
        ("bytes=100-199", "none", False),
        ("bytes=-100", "bytes 0-99/5000", True),
    ],
)
def test_a_range_is_the_one_asked_for_or_ends_where_the_whole_ends(asked: str, said: str, right: bool) -> None:
    assert (other_range(asked, said) is None) is right


async def _outcome(reply: Reply) -> object:
    """What becomes of a page."""
    async with WebSite({"/": html("/a"), "/a": reply}) as site:
        with fail_soon(10):
            return (await crawl(site.loader())).outcomes[f"{site.url}/a"]


WHOLE = f"bytes 0-{SIZE - 1}/{SIZE}"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {RANGE: f"bytes 0-{SIZE - 1}/5000"}),
        (206, {RANGE: f"bytes 0-{SIZE - 1}/*"}),
        (206, {"content-type": "multipart/byteranges; boundary=x"}),
        (202, {}),
        (200, {"content-length": "5000"}),
    ],
)
async def test_a_page_of_which_a_part_came_is_asked_for_again(status: int, headers: Mapping[str, str]) -> None:
    found = await _outcome(Reply(TEXT, status, headers=headers))
    assert isinstance(found, TransientError)


@pytest.mark.parametrize("status", [204, 205, 207, 208, 226])
async def test_a_good_status_without_a_page_fails_the_page_and_is_not_asked_for_again(status: int) -> None:
    found = await _outcome(Reply(b"" if status == 204 else TEXT, status, type=HTML))
    assert isinstance(found, DocumentError)
    assert (found.code, "exclude it" in str(found)) == (f"http_{status}", True)


@pytest.mark.parametrize(("status", "headers"), [(206, {RANGE: WHOLE}), (203, {}), (200, {RANGE: WHOLE})])
async def test_a_page_that_came_whole_is_one_whatever_its_status(status: int, headers: Mapping[str, str]) -> None:
    assert isinstance(await _outcome(Reply(TEXT, status, headers=headers)), Document)


@contextmanager
def store(status: int, headers: Mapping[str, str], body: bytes = TEXT) -> Iterator[str]:
    """A store that says it has a file, and answers so when that is asked for."""

    class Same(Answers):
        def respond(self) -> None:
            if self.command == "HEAD":
                self.answer(200, {"Content-Length": str(SIZE), "Accept-Ranges": "bytes"})
            else:
                self.answer(status, headers, body)

    with answering(Same) as url:
        yield url


async def _read(url: str, protocol: str, monkeypatch: pytest.MonkeyPatch) -> object:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)
    loader = FsspecLoader(FsspecSource(f"{url}/" if protocol == "http" else "s3://papers"))
    try:
        with fail_soon(20):
            return await loader.load(Entry("a.md", SIZE, "1"), None)
    finally:
        await loader.aclose()


OTHER = first_of_each(
    [
        (206, {RANGE: f"bytes 0-9/{SIZE}"}, TEXT[:10]),
        (206, {RANGE: f"bytes 10-{SIZE - 1}/{SIZE}"}, TEXT[10:]),
        (206, {}, TEXT[:10]),
        (200, {}, TEXT[:10]),
    ]
)


@pytest.mark.parametrize("protocol", ["http", "s3"])
@pytest.mark.parametrize(("status", "headers", "body"), OTHER)
async def test_another_part_than_was_asked_for_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, protocol: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    with store(status, headers, body) as url, pytest.raises(TransientError):
        await _read(url, protocol, monkeypatch)


@pytest.mark.parametrize("protocol", ["http", "s3"])
@pytest.mark.parametrize(("status", "headers"), [(206, {RANGE: WHOLE}), (200, {})])
async def test_what_was_asked_for_is_read(
    monkeypatch: pytest.MonkeyPatch, protocol: str, status: int, headers: Mapping[str, str]
) -> None:
    with store(status, headers) as url:
        found = await _read(url, protocol, monkeypatch)
    assert isinstance(found, Document)
    assert found.size == SIZE


@pytest.mark.parametrize(("status", "kind"), [(202, TransientError), (204, DocumentError), (207, DocumentError)])
async def test_a_good_status_without_a_file_is_no_file(
    monkeypatch: pytest.MonkeyPatch, status: int, kind: type[Exception]
) -> None:
    with store(status, {}, b"") as url, pytest.raises(kind, match=f"answered {status}"):
        await _read(url, "http", monkeypatch)
