"""What the libraries behind remote sources raise, as the engine has to take it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.exceptions
import pytest
from aiohttp import ClientPayloadError
from aiohttp.http_exceptions import ContentLengthError, TransferEncodingError

from phaseflow.components.sources.remote.faults import as_ours
from phaseflow.components.sources.remote.loader import FsspecLoader
from phaseflow.domain.errors import DocumentError, RateLimited, TransientError
from phaseflow.domain.settings import FsspecSource
from tests.components.remote_servers import KEYS


@pytest.mark.parametrize("cause", [ContentLengthError("Not enough data"), TransferEncodingError("Not enough data")])
def test_an_answer_that_ends_too_soon_is_a_fault_that_may_pass(cause: Exception) -> None:
    error = ClientPayloadError("Response payload is not completed")
    error.__cause__ = cause  # which says 400 of itself
    found = as_ours(error, "a.md")
    assert (type(found), str(found)) == (TransientError, "a.md broke off while it was read")


def of_a_store(code: str, status: int, **headers: str) -> Exception:
    return botocore.exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": "as it says"},
            "ResponseMetadata": {
                "HTTPStatusCode": status, "HTTPHeaders": headers, "RequestId": "", "HostId": "", "RetryAttempts": 0,
            },
        },
        "GetObject",
    )  # fmt: skip


@pytest.mark.parametrize("code", ["SlowDown", "RequestLimitExceeded", "ThrottlingException"])
@pytest.mark.parametrize("status", [400, 503])
def test_a_store_that_asks_for_fewer_requests_is_waited_for_whatever_its_status(code: str, status: int) -> None:
    found = as_ours(of_a_store(code, status, **{"retry-after": "7"}), "s3://b/a.md")
    assert isinstance(found, RateLimited)
    assert (found.retry_after_s, str(found)) == (7, f"s3://b/a.md: asked to slow down, {status}")


def test_other_answers_of_a_store_keep_their_meaning() -> None:
    assert type(as_ours(of_a_store("InternalError", 500), "a.md")) is TransientError
    shorter = as_ours(of_a_store("InvalidRange", 416), "a.md")
    assert isinstance(shorter, DocumentError)
    assert shorter.code == "changed_while_reading"


SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


@contextmanager
def slow_store(asked: list[str]) -> Iterator[str]:
    """A store that has no room for anybody."""

    class Full(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server wants
            asked.append(self.path)
            self.send_response(503)
            self.send_header("Content-Length", str(len(SLOW_DOWN)))
            self.end_headers()
            self.wfile.write(SLOW_DOWN)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Full)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_store_without_room_is_asked_twice_before_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with slow_store(asked) as url:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)
        loader = FsspecLoader(FsspecSource("s3://papers/all"))
        with pytest.raises(RateLimited):
            _ = [page async for page in loader.list()]
        await loader.aclose()
    assert len(asked) == 2
