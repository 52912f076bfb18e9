"""ingest, resume and retry: the commands that run a job in the foreground."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phaseflow.cli import logs, options, server_options, worker_options
from phaseflow.cli.documents import retry_here
from phaseflow.cli.exit_codes import run
from phaseflow.cli.foreground import Foreground
from phaseflow.cli.ingest_wanted import Wanted
from phaseflow.cli.parameters import GLOB, KB, NAME
from phaseflow.cli.place import Place
from phaseflow.cli.remote_ingest import RemoteIngest
from phaseflow.cli.settings_options import SettingsOptions, settings_options
from phaseflow.cli.sources import source_of
from phaseflow.cli.verbs import through_server
from phaseflow.domain.vocabulary import Action, JobPhase

if TYPE_CHECKING:
    from phaseflow.domain.settings import Settings
    from phaseflow.flow import Job, PhaseFlow, Reader


@click.command("ingest")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--kb", type=KB, required=True, metavar="NAME", help="The knowledge base to fill.")
@click.option("--include", type=GLOB, multiple=True, help="Only matching files of the folder. Repeatable.")
@click.option("--exclude", type=GLOB, multiple=True, help="Not the matching files of the folder. Repeatable.")
@click.option("--connection", metavar="NAME", help="A connection of the file that PHASEFLOW_CONNECTIONS names.")
@click.option("--ref", metavar="REF", help="The branch, tag or commit of a Git repository (git+https://…).")
@click.option("--archives", is_flag=True, help="Read the files inside ZIP archives, one level deep.")
@click.option("--max-pages", type=click.IntRange(1, 1_000_000), help="Maximum number of web pages to fetch.")
@click.option("--max-depth", type=click.IntRange(0, 1000), help="Maximum number of links to follow; 0 for none.")
@click.option("--replace", is_flag=True, help="Make SOURCE the only source; else it is read beside those there are.")
@click.option("--allow-deletes", is_flag=True, help="Take out whatever is gone, even most of a source.")
@click.option("--full", is_flag=True, help="Read every document, even if unchanged.")
@click.option("--hold", type=options.PHASE, multiple=True, help="A phase that starts paused. Repeatable.")
@settings_options
@options.allow_private
@options.keep_vectors
@worker_options.workers
@click.option("--push", is_flag=True, help="With --server: send the files even if the service could read the folder.")
@server_options.server
@options.common
@options.verbose
def _ingest_command(
    sources: tuple[str, ...],
    kb: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    connection: str | None,
    ref: str | None,
    archives: bool,
    max_pages: int | None,
    max_depth: int | None,
    replace: bool,
    allow_deletes: bool,
    full: bool,
    hold: tuple[JobPhase, ...],
    allow_private: tuple[str, ...],
    keep_vectors: float,
    push: bool,
    server: str | None,
    token: str | None,
    db: Path,
    as_json: bool,
    verbosity: int,
    **settings: Any,
) -> None:
    """Read SOURCE (a folder, files, web addresses, or one address such as s3://bucket/folder
    or git+https://host/repository.git) into a knowledge base.

    Ctrl-C pauses the job durably; the same command resumes it. With --server, the service reads SOURCE; a folder that
    it cannot read is sent to it, file by file, those that have changed since the last time.
    """
    source = source_of(sources, include, exclude, max_pages, max_depth, archives, connection, ref)
    wanted = Wanted(
        kb,
        source,
        SettingsOptions(**settings),
        full,
        hold,
        replace,
        allow_deletes=allow_deletes or replace,
    )
    chosen = wanted.settings.over(None)  # a usage error should not wait for the database
    logs.set_up(verbosity)
    if server:
        place = Place(db, server, token)
        run(lambda: RemoteIngest(place, wanted, as_json, push).run())
    if push:
        raise click.UsageError("--push sends files to a service; name it with --server")
    _check_servers(chosen)
    foreground = Foreground(db, kb, as_json, not hold, allow_private, wanted.settings.address, keep_vectors, True)
    run(lambda: foreground.run(wanted.check, wanted.begin, wanted.missed))


def _check_servers(settings: "Settings | None") -> None:
    """Raise click.UsageError where settings name a server that nobody has set up."""
    if settings is None:
        return
    from phaseflow.components.embedders.access import EmbedderAccess
    from phaseflow.components.indexes.servers import IndexServers
    from phaseflow.domain.errors import InvalidRequest
    from phaseflow.domain.settings import NamedEmbedderSettings

    try:
        IndexServers(options.index_servers()).check(settings.index)
        if isinstance(settings.embedder, NamedEmbedderSettings):
            EmbedderAccess().named(settings.embedder)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from None


@click.command("resume")
@click.argument("kb", type=KB)
@click.option("--phase", type=options.PHASE, help="Only this phase.")
@server_options.server
@options.allow_private
@worker_options.workers
@options.common
@options.verbose
def _resume_command(
    kb: str,
    phase: JobPhase | None,
    server: str | None,
    token: str | None,
    allow_private: tuple[str, ...],
    db: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Resume the paused job of KB exactly where it stopped."""
    logs.set_up(verbosity)
    if server:
        through_server(server, token, Action.RESUME, kb, phase, as_json)

    async def check(reader: "Reader") -> None:
        await reader.check_verb(Action.RESUME, kb, phase)

    async def begin(flow: "PhaseFlow") -> "Job":
        await flow.resume(kb, phase)
        return await flow.job(kb)

    run(lambda: Foreground(db, kb, as_json, allow_private=allow_private).run(check, begin))


@click.command("retry")
@click.argument("kb", type=KB)
@click.argument("uri", type=NAME, required=False)
@server_options.server
@options.allow_private
@worker_options.workers
@options.common
@options.verbose
def _retry_command(
    kb: str,
    uri: str | None,
    server: str | None,
    token: str | None,
    allow_private: tuple[str, ...],
    db: Path,
    as_json: bool,
    verbosity: int,
) -> None:
    """Continue the failed job of KB: retry what failed, keep finished work. With URI: load one document anew, even if
    it is unchanged; one that was skipped is taken in again."""
    logs.set_up(verbosity)
    if uri is not None:
        run(lambda: retry_here(Place(db, server, token), as_json, kb, uri, allow_private))
    if server:
        through_server(server, token, Action.RETRY, kb, None, as_json)

    async def check(reader: "Reader") -> None:
        await reader.check_verb(Action.RETRY, kb)

    async def begin(flow: "PhaseFlow") -> "Job":
        await flow.retry(kb)
        return await flow.job(kb)

    run(lambda: Foreground(db, kb, as_json, allow_private=allow_private).run(check, begin))


COMMANDS = [_ingest_command, _resume_command, _retry_command]
