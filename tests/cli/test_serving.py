"""The command that runs the service: how it ends when it cannot begin."""

import socket

from tests.cli.commands import Shell


def test_a_host_that_others_reach_without_a_token_is_a_usage_error(shell: Shell) -> None:
    done = shell("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104  # it must not get so far
    told = "phaseflow: host: 0.0.0.0 can be reached by other machines: set a token, or serve on 127.0.0.1\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
    assert list(shell.here.iterdir()) == []


def test_a_port_that_is_taken_is_no_usage_error(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = shell("serve", "--port", port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"phaseflow: port: cannot listen on 127.0.0.1:{port}")


def test_a_token_that_no_header_can_carry_is_a_usage_error(shell: Shell) -> None:
    done = shell("serve", "--token", "tök", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "phaseflow: token: a token is made of ASCII letters" in done.stderr
