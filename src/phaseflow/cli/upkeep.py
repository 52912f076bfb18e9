"""vacuum and backup: looking after the file."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from phaseflow.cli import logs, options, server_options
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.parameters import FILE
from phaseflow.cli.place import Place, anywhere, existing
from phaseflow.cli.terminal import answer, answer_text, console, say
from phaseflow.domain.counting import size_of

if TYPE_CHECKING:
    from phaseflow.domain.status import Vacuumed


@click.command("vacuum")
@server_options.server
@options.keep_vectors
@options.common
@options.verbose
def _vacuum_command(
    server: str | None, token: str | None, keep_vectors: float, db: Path, as_json: bool, verbosity: int
) -> None:
    """Free what nothing needs any more: deleted texts and vectors leave the file, and it shrinks.

    Without --server it also rewrites the file, which needs room for two more copies of it.
    """
    logs.set_up(verbosity)
    run(lambda: _through(server, token, as_json) if server else _here(db, keep_vectors, as_json))


async def _here(db: Path, keep_vectors: float, as_json: bool) -> Exit:
    from phaseflow.flow import PhaseFlow

    async with PhaseFlow(
        existing(db), slots=0, keep_vectors=keep_vectors, index_servers=options.index_servers()
    ) as flow:
        return _show(await flow.vacuum(rebuild=True), as_json)


async def _through(server: str, token: str | None, as_json: bool) -> Exit:
    from phaseflow.client import Client

    async with Client(server, token=token) as service:
        return _show(await service.vacuum(), as_json)


def _show(done: "Vacuumed", as_json: bool) -> Exit:
    if as_json:
        answer(done)
        return Exit.COMPLETED
    say(f"freed {size_of(done.freed_bytes)}; the file now has {size_of(done.size_bytes)}")
    if done.waits_for:
        say(f"jobs that are not over keep what was replaced in {', '.join(done.waits_for)}; resume or cancel them")
    return Exit.COMPLETED


@click.command("backup")
@click.argument("file", type=FILE)
@click.option(
    "--no-check", is_flag=True, help="Copy the database also when it is damaged, and sooner: the copy is not checked."
)
@anywhere
def _backup_command(file: Path, no_check: bool, place: Place, as_json: bool) -> None:
    """Copy the database into FILE, also while a service uses it. Only you can read the copy.

    It is checked before it gets its name: of a damaged database there is no copy. With --server, the service makes the
    copy and sends it.
    """
    run(lambda: _copy(place, file, as_json, check=not no_check))


async def _copy(place: Place, file: Path, as_json: bool, *, check: bool) -> Exit:
    import json

    size = await _unless_interrupted(lambda: _copied(place, file, check=check))
    if size is None:
        say("interrupted: no copy was left")
        return Exit.PAUSED
    if as_json:
        answer_text(json.dumps({"file": str(file), "size_bytes": size}))
    else:
        say(f"{'copied and checked' if check else 'copied'} {size_of(size)} to {file}")
    return Exit.COMPLETED


async def _copied(place: Place, file: Path, *, check: bool) -> int:
    with console().status("copying the database") as line:

        def show(share: float | None) -> None:
            line.update("checking the copy" if share is None else f"copying the database, {share:.0%}")

        if place.server:
            async with place.client() as service:
                return await service.backup(file, check=check)
        from phaseflow.flow.upkeep import backup as copy

        return await copy(existing(place.db), file, check=check, progress=show)


async def _unless_interrupted(work: Callable[[], Awaitable[int]]) -> int | None:
    """What ``work`` returns; None where a signal came first, which cancels it: what it has begun is taken back."""
    import anyio

    from phaseflow.cli.interrupts import Interrupts

    done: int | None = None

    async def watch() -> None:
        await interrupts.wait()
        tasks.cancel_scope.cancel()

    with Interrupts() as interrupts:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            done = await work()
            tasks.cancel_scope.cancel()
    return done


COMMANDS = [_vacuum_command, _backup_command]
