"""What an ingest command wants from a knowledge base, here or at a service."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phaseflow.cli.kb_sources import with_source
from phaseflow.cli.messages import asks_to_delete
from phaseflow.cli.next_command import next_command
from phaseflow.cli.settings_options import SettingsOptions
from phaseflow.cli.terminal import say
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import InvalidRequest, JobConflict, KnowledgeBaseNotFound
from phaseflow.domain.messages import source_down
from phaseflow.domain.vocabulary import Action, JobPhase, JobStatus, PhaseStatus

if TYPE_CHECKING:
    from phaseflow.client import Client
    from phaseflow.domain.remote_sources import FsspecSource, GitSource
    from phaseflow.domain.settings import FolderSource, Settings, WebSource
    from phaseflow.domain.status import JobStatusResponse, KnowledgeBase
    from phaseflow.flow import Job, PhaseFlow, Reader
    from phaseflow.flow.inputs import Source


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line wants from a knowledge base."""

    kb_id: str
    source: "FolderSource | WebSource | FsspecSource | GitSource"
    settings: SettingsOptions
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
            self.say_what_is_made_again(kb, settings)
            present = {} if kb is None or self.replace else kb.sources
            if not self._can_be_read():
                raise InvalidRequest("source.path", f"there is no folder {self._folder!r}; check the name")
            sources = self.changed(kb, with_source(present, self.source))
            try:
                return await flow.start(
                    self.kb_id, sources=sources, full=self.full, hold=list(self.hold), settings=settings,
                    allow_deletes=self.allow_deletes,
                )  # fmt: skip
            # Between the look and the start, a push may have made a job for the inbox. That one is followed first; a
            # job that reads sources is somebody else's, and a conflict.
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
        await self.go_on(flow, kb.job)
        return await flow.job(self.kb_id)

    def changed(self, kb: "KnowledgeBase | None", sources: "dict[str, Source]") -> "dict[str, Source] | None":
        """The sources to start with; None for those that the knowledge base has: stored ones are not looked at before
        the job, in which one that cannot be read holds up no other."""
        return None if kb is not None and sources == kb.sources and self._can_be_read() else sources

    @property
    def _folder(self) -> str | None:
        return self.source.path if self.source.type == "folder" else None

    def _can_be_read(self) -> bool:
        """Whether the folder of this command is there. One that is not is refused before anything is begun."""
        return self._folder is None or os.path.isdir(self._folder)

    def say_what_is_made_again(self, kb: "KnowledgeBase | None", settings: "Settings | None") -> None:
        """Say what a job with these settings has to make again, of what was indexed with others."""
        if kb is None or kb.indexed_with is None:
            return
        from phaseflow.domain.indexed_with import PHASEFLOW, IndexedWith, made_again

        found = kb.indexed_with.stale(IndexedWith.of(settings or kb.settings))
        found += [each for each in kb.stale if each.setting == PHASEFLOW]
        if again := made_again(found, kb.documents, kb.chunks):
            say(f"{kb.kb_id} {again}")

    async def missed(self, flow: "PhaseFlow | Client", final: "JobStatusResponse") -> bool:
        """Whether a job that is over has gone on without the source of this command."""
        if not final.error or final.status is not JobStatus.COMPLETED:
            return False
        sources = (await flow.kb(self.kb_id)).sources
        return any(
            source_down(name) in final.error
            for name, source in sources.items()
            if with_source({name: source}, self.source) == {name: source}
        )

    async def _known(self, flow: "PhaseFlow | Reader") -> "KnowledgeBase | None":
        try:
            return await flow.kb(self.kb_id)
        except KnowledgeBaseNotFound:
            return None

    def check_same(self, kb: "KnowledgeBase") -> None:
        """Raise JobConflict when the open job has another source or other settings."""
        if kb.job is None:
            return
        if self.source not in kb.sources.values() and with_source(kb.sources, self.source) != kb.sources:
            differs = (
                f"it reads {' and '.join(map(_named, kb.sources.values())) or 'nothing'}, not {_named(self.source)}"
            )
        elif self.replace and len(kb.sources) > 1:
            differs = "it has other sources too"
        elif self.settings.over(kb.settings) not in {None, kb.settings}:
            differs = "it has other settings"
        else:
            return
        why = f"its job is {kb.job.status}, and {differs}; {next_command('resume', self.kb_id)} goes on with it"
        raise JobConflict(Action.START, kb.job.status, kb.job.allowed_actions, why)

    async def go_on(self, flow: "PhaseFlow | Client", job: "JobStatusResponse") -> None:
        """Resume the job, but for the phases that this command holds. One that is pending goes on anyway, and one
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
    """A source with all that can tell it from another one."""
    if source.type == "upload":
        return "uploaded files"
    if source.type == "web":
        depth = [] if source.max_depth is None else [f"{source.max_depth} links deep"]
        return " ".join([*map(str, source.urls), f"up to {counted(source.max_pages, 'page')}", *depth])
    words = [source.path if source.type == "folder" else source.url]
    words += [*source.include, *(f"without {glob}" for glob in source.exclude)]
    if source.type == "folder":
        return " ".join([*words, "with archives"] if source.archives else words)
    if source.type == "git" and source.ref:
        words.append(f"at {source.ref}")
    return " ".join([*words, f"through the connection {source.connection}"] if source.connection else words)
