"""pause and cancel: through a service, or on a database that no process holds."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from phaseflow.cli import logs, messages, options, server_options
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.parameters import KB
from phaseflow.cli.place import existing
from phaseflow.cli.terminal import answer, say
from phaseflow.domain.vocabulary import Action, JobPhase

if TYPE_CHECKING:
    from phaseflow.domain.status import JobStatusResponse


@click.command("pause")
@click.argument("kb", type=KB)
@click.option("--phase", type=options.PHASE, help="Only this phase.")
@server_options.server
@options.common
@options.verbose
def _pause_command(
    kb: str,
    phase: JobPhase | None,
    server: str | None,
    token: str | None,
    db: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Pause the job of KB, or one phase, after the batch in hand."""
    logs.set_up(verbosity)
    if server:
        through_server(server, token, Action.PAUSE, kb, phase, as_json)
    run(lambda: _here(db, Action.PAUSE, kb, phase, as_json))


@click.command("cancel")
@click.argument("kb", type=KB)
@server_options.server
@options.common
@options.verbose
def _cancel_command(kb: str, server: str | None, token: str | None, db: Path, as_json: bool, verbosity: int) -> None:
    """End the job of KB; indexed documents stay searchable."""
    logs.set_up(verbosity)
    if server:
        through_server(server, token, Action.CANCEL, kb, None, as_json)
    run(lambda: _here(db, Action.CANCEL, kb, None, as_json))


async def _here(db: Path, verb: Action, kb_id: str, phase: JobPhase | None, as_json: bool) -> Exit:
    """Do it in this process: the job is one that a process left behind. Nothing is run."""
    from phaseflow.flow import PhaseFlow
    from phaseflow.flow.reader import Reader, check_first

    existing(db)
    await check_first(db, lambda reader: reader.check_verb(verb, kb_id, phase))
    async with PhaseFlow(db, slots=0, index_servers=options.index_servers()) as flow:
        await (flow.cancel(kb_id) if verb is Action.CANCEL else flow.pause(kb_id, phase))
    async with Reader(db) as reader:  # the engine, as long as it was there, had jobs queued that nobody runs now
        status = await reader.status(kb_id)
    return _show(status, as_json)


def through_server(
    url: str, token: str | None, verb: Action, kb_id: str, phase: JobPhase | None, as_json: bool
) -> NoReturn:
    """Send a verb to the service at ``url``, show the status it answers, and leave."""

    async def send() -> Exit:
        client = importlib.import_module("phaseflow.client")
        async with client.Client(url, token=token) as service:
            act = getattr(service, verb)
            return _show(await (act(kb_id) if phase is None else act(kb_id, phase)), as_json)

    run(send)


def _show(status: "JobStatusResponse", as_json: bool) -> Exit:
    """Show the answer to a verb. It was obeyed, whatever the status is."""
    if as_json:
        answer(status)
    else:
        asked = f" ({status.requested} asked for)" if status.requested else ""
        say(f"{messages.headline(status)} [{status.status}{asked}]")
    return Exit.COMPLETED


COMMANDS = [_pause_command, _cancel_command]
