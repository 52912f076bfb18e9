"""start: a new job on the sources and settings that a knowledge base has, in the foreground."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from phaseflow.cli import logs, options, server_options, worker_options
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.foreground import Foreground
from phaseflow.cli.parameters import KB
from phaseflow.cli.place import Place, existing
from phaseflow.cli.remote_foreground import RemoteForeground
from phaseflow.domain.errors import JobConflict
from phaseflow.domain.vocabulary import Action, JobPhase

if TYPE_CHECKING:
    from phaseflow.client import Client
    from phaseflow.flow import Job, PhaseFlow, Reader


@click.command("start")
@click.argument("kb", type=KB)
@click.option("--allow-deletes", is_flag=True, help="Take out whatever is gone, even most of a source.")
@click.option("--full", is_flag=True, help="Read every document, even if unchanged.")
@click.option("--hold", type=options.PHASE, multiple=True, help="A phase that starts paused. Repeatable.")
@options.allow_private
@worker_options.workers
@server_options.server
@options.common
@options.verbose
def _start_command(
    kb: str,
    allow_deletes: bool,
    full: bool,
    hold: tuple[JobPhase, ...],
    allow_private: tuple[str, ...],
    server: str | None,
    token: str | None,
    db: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Start a new job of KB on its sources, with what was pushed to it and its present settings.

    Ctrl-C pauses the job durably; `phaseflow resume KB` resumes it.
    """
    logs.set_up(verbosity)
    if server:

        async def begin_there(client: "Client") -> Exit:
            await client.start(kb, full=full, hold=list(hold), allow_deletes=allow_deletes)
            return Exit.COMPLETED

        following = RemoteForeground(Place(db, server, token), kb, as_json, repeatable=False)
        run(lambda: following.run(begin_there))

    async def check(reader: "Reader") -> None:
        job = (await reader.kb(kb)).job
        if job is not None and not job.status.is_terminal and await reader.reads_sources(job.job_id):
            raise JobConflict(Action.START, job.status, job.allowed_actions)

    async def begin(flow: "PhaseFlow") -> "Job":
        try:
            return await flow.start(kb, full=full, hold=list(hold), allow_deletes=allow_deletes)
        except JobConflict:
            if hold or full or allow_deletes:
                raise
            return await flow.job(kb)  # one for what was pushed, that makes the index again, has come before: the same

    async def begin_here() -> Exit:
        existing(db)
        return await Foreground(db, kb, as_json, allow_private=allow_private, reads_sources=True).run(check, begin)

    run(begin_here)


COMMANDS = [_start_command]
