"""What the libraries behind remote sources raise, as the engine has to take it."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest

from phaseflow import FsspecSource
from phaseflow.components.sources.remote.faults import as_ours
from phaseflow.components.sources.remote.loader import FsspecLoader
from phaseflow.domain.errors import DocumentError, RateLimited, TransientError
from tests.answering import Answers, answering
from tests.components.remote_servers import KEYS
from tests.matrices import together


@pytest.mark.parametrize("name", ["ContentLengthError", "TransferEncodingError"])
def test_an_answer_that_ends_too_soon_is_a_fault_that_may_pass(name: str) -> None:
    from aiohttp import ClientPayloadError, http_exceptions  # here: it takes long, and each process reads this module

    cause: Exception = getattr(http_exceptions, name)("Not enough data")
    error = ClientPayloadError("Response payload is not completed")
    error.__cause__ = cause  # which says 400 of itself
    found = as_ours(error, "a.md")
    assert (type(found), str(found)) == (TransientError, "a.md broke off while it was read")


def of_a_store(code: str, status: int, **headers: str) -> BaseException:
    import botocore.exceptions  # type: ignore[import-untyped]  # it has no types

    made: BaseException = botocore.exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": "as it says"},
            "ResponseMetadata": {
                "HTTPStatusCode": status, "HTTPHeaders": headers, "RequestId": "", "HostId": "", "RetryAttempts": 0,
            },
        },
        "GetObject",
    )  # fmt: skip
    return made


@together(("code", "status"), product(["SlowDown", "RequestLimitExceeded", "ThrottlingException"], [400, 503]))
def test_a_store_that_asks_for_fewer_requests_is_waited_for_whatever_its_status(code: str, status: int) -> None:
    found = as_ours(of_a_store(code, status, **{"retry-after": "7"}), "s3://b/a.md")
    assert isinstance(found, RateLimited)
    assert (found.retry_after_s, str(found)) == (7, f"s3://b/a.md: asked to slow down, {status}")


def test_other_answers_of_a_store_keep_their_meaning() -> None:
    assert type(as_ours(of_a_store("InternalError", 500), "a.md")) is TransientError
    shorter = as_ours(of_a_store("InvalidRange", 416), "a.md")
    assert isinstance(shorter, DocumentError)
    assert shorter.code == "changed_while_reading"


SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
CUT = b"""<ListBucketResult><Name>papers</Name><Prefix>all/</Prefix><KeyCount>1</KeyCount><MaxKeys>1</MaxKeys>
<IsTruncated>true</IsTruncated>%s<Contents><Key>all/a.md</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>
<ETag>"1"</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"""
TOKEN = b"<NextContinuationToken>again</NextContinuationToken>"


@contextmanager
def store(status: int, body: bytes, asked: list[str]) -> Iterator[str]:
    """A store that answers all in the same way."""

    class Same(Answers):
        def respond(self) -> None:
            asked.append(self.path)
            self.answer(status, body=body)

    with answering(Same) as url:
        yield url


@pytest.mark.parametrize(
    ("status", "body", "kind", "requests"),
    [
        (503, SLOW_DOWN, RateLimited, 2),
        (200, CUT % b"", TransientError, 1),
        (200, CUT % TOKEN, TransientError, 2),
    ],
    ids=["without room", "a list that goes on nowhere", "a list that goes on where it is"],
)
async def test_a_store_that_does_not_list_all_it_has_is_told_soon(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, kind: type[TransientError], requests: int
) -> None:
    asked: list[str] = []
    with store(status, body, asked) as url:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)
        loader = FsspecLoader(FsspecSource("s3://papers/all"))
        with pytest.raises(TransientError) as raised:
            _ = [page async for page in loader.list()]
        await loader.aclose()
    assert (type(raised.value), len(asked)) == (kind, requests)
