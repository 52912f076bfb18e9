"""The command that runs the service."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from phaseflow.cli import logs, options, streams, worker_options
from phaseflow.cli.exit_codes import Exit, complain, run
from phaseflow.cli.heaps import share_heaps
from phaseflow.cli.parameters import FOLDER, HOST_NAME
from phaseflow.cli.settings_options import SettingsOptions, settings_options
from phaseflow.cli.terminal import answer_text, say
from phaseflow.domain.errors import InvalidRequest

P = ParamSpec("P")
R = TypeVar("R")
OPEN_FILES = 65_536
"""Streams need one each; the usual soft limit is 1,024."""

_OPTIONS = ("host", "token", "embedding_url", "settings.index.server", "PHASEFLOW_")
"""How what an InvalidRequest at the start names begins where the command line or the environment is wrong."""


def _no_server(why: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """--server, for the command that is the service: refused, with the reason. The environment is for the others."""

    def refused(_: click.Context, __: click.Parameter, url: str | None) -> None:
        if url is not None:
            raise click.UsageError(why)

    return click.option("--server", metavar="URL", expose_value=False, callback=refused, help=f"Refused: {why}.")


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 picks a free one.")
@click.option(
    "--token", envvar="PHASEFLOW_TOKEN", help="Require this bearer token (or PHASEFLOW_TOKEN); 8 characters or more."
)
@click.option(
    "--allow-root",
    type=FOLDER,
    multiple=True,
    help="Sources must be inside this folder. Repeatable; default the current directory.",
)
@click.option(
    "--allow-host", type=HOST_NAME, metavar="NAME", multiple=True, help="Another name of this server. Repeatable."
)
@options.allow_private
@options.keep_vectors
@worker_options.workers
@settings_options
@_no_server("serve is the service itself; leave --server out")
@options.common
@options.verbose
def _serve_command(
    host: str,
    port: int,
    token: str | None,
    allow_root: tuple[Path, ...],
    allow_host: tuple[str, ...],
    allow_private: tuple[str, ...],
    keep_vectors: float,
    db: Path,
    as_json: bool,
    verbosity: int,
    **settings: Any,
) -> None:
    """Serve the HTTP API, the live feed and the dashboard; resume interrupted jobs."""
    embedding_url = settings["embedding_url"]
    if settings["embedder"] != "openai":
        settings["embedding_url"] = None  # then it only names the server that the key belongs to
    wanted = SettingsOptions(**settings).over(None)
    logs.set_up(verbosity, quietest=1)
    _allow_many_streams()

    async def service() -> Exit:
        from phaseflow import http
        from phaseflow.cli.interrupts import SERVICE_S, end_within, finish_on_signals
        from phaseflow.components.workers.confinement import hide_memory
        from phaseflow.flow import PhaseFlow

        hide_memory()  # the keys, from whatever takes over a worker
        share_heaps()
        roots = http.AllowedRoots(allow_root or [Path.cwd()])
        announce = _tell_json if as_json else _tell
        try:
            flow = PhaseFlow(
                db, settings=wanted, check_source=roots, allow_private=allow_private, embedding_url=embedding_url,
                keep_vectors=keep_vectors, index_servers=options.index_servers(),
                workers=worker_options.chosen_workers(),
            )  # fmt: skip
            finish_on_signals()  # in place again when the server has put back what it found
            served = await http.serve(
                flow, host=host, port=port, token=token, allowed_hosts=allow_host, started=announce,
                asked=lambda: end_within(SERVICE_S),
            )  # fmt: skip
        except InvalidRequest as error:
            return complain(error, Exit.USAGE if error.field.startswith(_OPTIONS) else Exit.FAILED)
        streams.close(soon=True)  # whoever stopped it waits for its end, and not for the last lines of a log
        return Exit.COMPLETED if served else Exit.PAUSED

    run(service)


def _tell(url: str) -> None:
    say(f"phaseflow serves at {url}")


def _tell_json(url: str) -> None:
    import json

    answer_text(json.dumps({"url": url}))


def _allow_many_streams() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


COMMANDS = [_serve_command]
