"""Servers of files on loopback: S3 by moto, pages by the standard library."""

import functools
import http.server
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.answering import answering

KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "a secret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "papers"
_COLOUR = re.compile(r"\x1b\[\d+m")


@dataclass
class Requests:
    """What a server was asked for."""

    seen: list[str] = field(default_factory=list)

    def reads(self) -> list[str]:
        return [each for each in self.seen if each.startswith("GET") and "list-type" not in each]


@dataclass(frozen=True)
class S3:
    url: str
    client: Any
    requests: Requests

    def put(self, key: str, text: str) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=text.encode())


class _Noted(logging.Handler):
    def __init__(self, requests: Requests) -> None:
        super().__init__()
        self._requests = requests

    def emit(self, record: logging.LogRecord) -> None:
        if '"' in (said := record.getMessage()):
            self._requests.seen.append(_COLOUR.sub("", said.split('"')[1]))


@contextmanager
def s3_server() -> Iterator[S3]:
    """An S3 server with one empty bucket."""
    import boto3  # here: every process of the tests reads this module, and one needs these
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    requests = Requests()
    noted = _Noted(requests)
    logger = logging.getLogger("werkzeug")
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(noted)
    logger.propagate = False
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        client = boto3.client(
            "s3", endpoint_url=url, region_name=KEYS["AWS_DEFAULT_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip
        client.create_bucket(Bucket=BUCKET)
        yield S3(url, client, requests)
        client.close()
    finally:
        server.stop()
        logger.removeHandler(noted)
        logger.setLevel(before)


class Pages(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, lists of its folders included."""

    requests: Requests

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        self.requests.seen.append(self.requestline)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


@contextmanager
def page_server(
    root: Path, handler: Callable[[type[Pages]], type[Pages]] = lambda kind: kind
) -> Iterator[tuple[str, Requests]]:
    """An HTTP server on a folder; its address, and what it is asked for. ``handler`` may change how it answers."""
    asked = Requests()

    class Noting(Pages):
        requests = asked

    with answering(functools.partial(handler(Noting), directory=str(root))) as url:
        yield url, asked
