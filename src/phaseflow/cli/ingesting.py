"""ingest, resume and retry: the commands that run a job in the foreground."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phaseflow.cli import logs, options
from phaseflow.cli.documents import retry_here
from phaseflow.cli.exit_codes import run
from phaseflow.cli.foreground import Foreground
from phaseflow.cli.kb_sources import with_source
from phaseflow.cli.messages import asks_to_delete
from phaseflow.cli.place import Place
from phaseflow.cli.server_mode import through_server
from phaseflow.cli.sources import source_of
from phaseflow.cli.terminal import say
from phaseflow.domain.errors import JobConflict, KnowledgeBaseNotFound
from phaseflow.domain.vocabulary import Action, JobPhase, JobStatus, PhaseStatus

if TYPE_CHECKING:
    from phaseflow.domain.remote_sources import FsspecSource, GitSource
    from phaseflow.domain.settings import FolderSource, Settings, WebSource
    from phaseflow.domain.status import JobStatusResponse, KnowledgeBase
    from phaseflow.flow import Job, PhaseFlow, Reader
    from phaseflow.flow.inputs import Source

_KB_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def _kb_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not _KB_NAME.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} cannot name a KB: up to 63 of a-z, 0-9, _ and -, beginning with a letter or digit"
        )
    return value


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--kb", required=True, metavar="NAME", callback=_kb_name, help="The knowledge base to fill.")
@click.option("--include", metavar="GLOB", multiple=True, help="Only matching files of the folder. Repeatable.")
@click.option("--exclude", metavar="GLOB", multiple=True, help="Not the matching files of the folder. Repeatable.")
@click.option("--connection", metavar="NAME", help="A connection of the file that PHASEFLOW_CONNECTIONS names.")
@click.option("--ref", metavar="REF", help="The branch, tag or commit of a Git repository (git+https://…).")
@click.option("--archives", is_flag=True, help="Read the files inside ZIP archives, one level deep.")
@click.option("--max-pages", type=click.IntRange(1, 1_000_000), help="Maximum number of web pages to fetch.")
@click.option("--max-depth", type=click.IntRange(0, 1000), help="Maximum number of links to follow; 0 for none.")
@click.option("--replace", is_flag=True, help="Make SOURCE the only source; else it is read beside those there are.")
@click.option("--allow-deletes", is_flag=True, help="Take out whatever is gone, even most of a source.")
@click.option("--full", is_flag=True, help="Read every document, even if unchanged.")
@click.option("--hold", type=options.PHASE, multiple=True, help="A phase that starts paused. Repeatable.")
@options.settings
@options.allow_private
@options.keep_vectors
@options.file_only(
    "ingest reads its source in this process, not through a service: push files with phaseflow add --server URL, or"
    " start the job there by its API or dashboard"
)
@options.common
@options.verbose
def ingest(
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
    db: Path,
    as_json: bool,
    verbosity: int,
    **settings: Any,
) -> None:
    """Read SOURCE (a folder, files, web addresses, or one address such as s3://bucket/folder
    or git+https://host/repository.git) into a knowledge base.

    Ctrl-C pauses the job durably; the same command resumes it.
    """
    source = source_of(sources, include, exclude, max_pages, max_depth, archives, connection, ref)
    wanted = Wanted(
        kb, source, options.SettingsOptions(**settings), full, hold, replace, allow_deletes=allow_deletes or replace
    )
    wanted.settings.over(None)  # a usage error should not wait for the database
    logs.set_up(verbosity)
    foreground = Foreground(db, kb, as_json, not hold, allow_private, wanted.settings.address, keep_vectors, True)
    run(lambda: foreground.run(wanted.check, wanted.begin))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line wants from a knowledge base."""

    kb_id: str
    source: "FolderSource | WebSource | FsspecSource | GitSource"
    settings: options.SettingsOptions
    full: bool
    hold: tuple[JobPhase, ...]
    replace: bool = False
    allow_deletes: bool = False

    async def check(self, reader: "Reader") -> None:
        """Raise JobConflict when the open job differs."""
        kb = await self._known(reader)
        if kb is None or kb.job is None or kb.job.status.is_terminal:
            return
        if await reader.reads_sources(kb.job.job_id):
            self.check_same(kb)

    async def begin(self, flow: "PhaseFlow") -> "Job":
        """Resume the open job, else start a new one. Raises JobConflict when the open job differs.

        A job for the inbox goes on first, even one that begins meanwhile: it reads no source, so it cannot differ.
        """
        kb = await self._known(flow)
        if kb is None or kb.job is None or kb.job.status.is_terminal:
            settings = self.settings.over(None if kb is None else kb.settings)
            self._say_what_is_made_again(kb, settings)
            present = {} if kb is None or self.replace else kb.sources
            try:
                return await flow.start(
                    self.kb_id, sources=with_source(present, self.source), full=self.full, hold=list(self.hold),
                    settings=settings, allow_deletes=self.allow_deletes,
                )  # fmt: skip
            except JobConflict:
                job = await flow.job(self.kb_id)
                if await flow.reads_sources(job.job_id):
                    raise
                return job
        if not await flow.reads_sources(kb.job.job_id):
            if kb.job.status is JobStatus.PAUSED:
                await flow.resume(self.kb_id)
            return await flow.job(self.kb_id)
        self.check_same(kb)
        await self._go_on(flow, kb.job)
        return await flow.job(self.kb_id)

    def _say_what_is_made_again(self, kb: "KnowledgeBase | None", settings: "Settings | None") -> None:
        if kb is None or kb.indexed_with is None:
            return
        from phaseflow.domain.indexed_with import IndexedWith, stale

        for each in stale(kb.indexed_with, IndexedWith.of(settings or kb.settings)):
            say(f"{kb.kb_id} was indexed with another {each.setting}: {each.cost}")

    async def _known(self, flow: "PhaseFlow | Reader") -> "KnowledgeBase | None":
        try:
            return await flow.kb(self.kb_id)
        except KnowledgeBaseNotFound:
            return None

    def check_same(self, kb: "KnowledgeBase") -> None:
        """Raise JobConflict when the open job has another source or other settings."""
        if kb.job is None:
            return
        if self.source not in kb.sources.values():
            differs = (
                f"it reads {' and '.join(map(_named, kb.sources.values())) or 'nothing'}, not {_named(self.source)}"
            )
        elif self.replace and len(kb.sources) > 1:
            differs = "it has other sources too"
        elif self.settings.over(kb.settings) not in {None, kb.settings}:
            differs = "it has other settings"
        else:
            return
        why = f"its job is {kb.job.status}, and {differs}; phaseflow resume {self.kb_id} goes on with it"
        raise JobConflict(Action.START, kb.job.status, kb.job.allowed_actions, why)

    async def _go_on(self, flow: "PhaseFlow", job: "JobStatusResponse") -> None:
        """Resume the job, but for the phases that this command holds. One that is pending goes on by itself, and one
        that asks before it takes out documents is not answered by the way."""
        if asks_to_delete(job) and not self.allow_deletes:
            return
        unfinished = [phase.name for phase in job.phase_details if phase.status is not PhaseStatus.COMPLETED]
        held = [phase for phase in unfinished if phase in self.hold]
        for phase in held:
            await flow.pause(self.kb_id, phase)
        if job.status is JobStatus.PENDING:
            return
        if not held:
            await flow.resume(self.kb_id)
        for phase in unfinished if held else ():
            if phase not in held:
                await flow.resume(self.kb_id, phase)


def _named(source: "Source") -> str:
    if source.type == "upload":
        return "uploaded files"
    if source.type == "web":
        return " ".join(str(url) for url in source.urls)
    place = source.path if source.type == "folder" else source.url
    return " ".join([place, *source.include, *(f"without {glob}" for glob in source.exclude)])


@click.command()
@click.argument("kb")
@click.option("--phase", type=options.PHASE, help="Only this phase.")
@options.server
@options.allow_private
@options.common
@options.verbose
def resume(
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


@click.command()
@click.argument("kb")
@click.argument("uri", required=False)
@options.server
@options.allow_private
@options.common
@options.verbose
def retry(
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
        run(lambda: retry_here(Place(db, server, token), as_json, kb, uri))
    if server:
        through_server(server, token, Action.RETRY, kb, None, as_json)

    async def check(reader: "Reader") -> None:
        await reader.check_verb(Action.RETRY, kb)

    async def begin(flow: "PhaseFlow") -> "Job":
        await flow.retry(kb)
        return await flow.job(kb)

    run(lambda: Foreground(db, kb, as_json, allow_private=allow_private).run(check, begin))
