"""A port that a test has chosen is there when its server starts, and when it starts again."""

import errno
import socket
import sys

import pytest

from tests.ports import free_port


def test_a_server_can_listen_on_it_again_and_again() -> None:
    port = free_port()
    for _ in range(2):
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
        with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="it is only looked up there")
def test_nobody_else_is_given_it() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_each_is_another_one() -> None:
    assert len({free_port() for _ in range(20)}) == 20
