"""``ingest --server``: the source is read by the service where it can be, else the files are pushed to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from phaseflow.cli.exit_codes import Exit
from phaseflow.cli.ingest_wanted import Wanted
from phaseflow.cli.kb_sources import with_source
from phaseflow.cli.place import Place
from phaseflow.cli.remote_foreground import RemoteForeground
from phaseflow.cli.terminal import say
from phaseflow.domain.counting import counted
from phaseflow.domain.deletions import why_not_delete
from phaseflow.domain.errors import InvalidRequest, JobConflict, KnowledgeBaseNotFound, SourceNotAllowed
from phaseflow.domain.identifiers import is_loopback
from phaseflow.domain.settings import PUSH, FolderSource, UploadSource
from phaseflow.domain.vocabulary import Action, JobPhase, JobStatus

if TYPE_CHECKING:
    from phaseflow.cli.folder_push import FolderPush, Pushed
    from phaseflow.client import Client
    from phaseflow.domain.status import JobStatusResponse, KnowledgeBase
    from phaseflow.flow.inputs import Source

SHOWN = 5
"""Files that could not be pushed which are named; the rest are counted."""


@dataclass(slots=True)
class RemoteIngest:
    """What the command does with a service. ``push``: send the files even if it could read the folder."""

    place: Place
    wanted: Wanted
    as_json: bool
    push: bool = False
    alone: "dict[str, Any] | None" = None
    """What the command has done where the files were there before, and no job is open or to be begun."""

    async def run(self) -> Exit:
        """Begin, and follow the job to its end."""
        place, wanted = self.place, self.wanted
        following = RemoteForeground(place, wanted.kb_id, self.as_json, repeatable=not wanted.hold)
        return await following.run(self._begin, self._missed, alone=lambda: self.alone)

    async def _missed(self, client: "Client", final: "JobStatusResponse") -> bool:
        return await self.wanted.missed(client, final)

    async def _begin(self, client: "Client") -> Exit:
        source, kb = self.wanted.source, await self._known(client)
        if not isinstance(source, FolderSource):
            present = {} if kb is None or self.wanted.replace else kb.sources
            await self._start(client, kb, with_source(present, source))
            return Exit.COMPLETED
        from phaseflow.cli.folder_push import FolderPush

        # A folder is read by the service only where it is sure to be the same folder: on the same machine. And what was
        # pushed once is pushed again, for the same document would otherwise have two sources.
        push = FolderPush(client, self.wanted.kb_id, source, names_files=_names_files(source))
        is_pushed = kb is not None and bool(await push.known(limit=1))
        if not self.push and not is_pushed and is_loopback(urlsplit(self.place.server or "").hostname):
            present = {} if kb is None or self.wanted.replace else kb.sources
            self.wanted = replace(self.wanted, source=await _as_it_is_there(client, source, present))
            sources = with_source(present, self.wanted.source)  # what this refuses, the user has asked for
            try:
                await self._start(client, kb, sources)
            except (SourceNotAllowed, InvalidRequest) as error:
                if isinstance(error, InvalidRequest) and not (error.field or "").startswith("source"):
                    raise
            else:
                return Exit.COMPLETED
        return await self._push(client, kb, push)

    async def _start(self, client: "Client", kb: "KnowledgeBase | None", sources: "dict[str, Source]") -> None:
        """Start a job that reads the source there, or go on with the one that does."""
        wanted = self.wanted
        settings = wanted.settings.over(None if kb is None else kb.settings)
        wanted.say_what_is_made_again(kb, settings)
        try:
            await client.start(
                wanted.kb_id, sources=wanted.changed(kb, sources), full=wanted.full, hold=list(wanted.hold),
                settings=settings, allow_deletes=wanted.allow_deletes,
            )  # fmt: skip
        except JobConflict:
            if kb is None or kb.job is None:
                raise
            wanted.check_same(kb)
            await wanted.go_on(client, kb.job)

    async def _push(self, client: "Client", kb: "KnowledgeBase | None", push: "FolderPush") -> Exit:
        wanted = self.wanted
        job = None if kb is None or kb.job is None or kb.job.status.is_terminal else kb.job
        if job is not None and (wanted.hold or wanted.full or wanted.replace):
            raise JobConflict(Action.START, job.status, job.allowed_actions)
        known = {} if kb is None else await push.known()
        # Before anything is sent: what is new would make the share of what goes smaller when the command is repeated.
        gone = await push.gone(known)
        if kb is not None and self._asks(kb, len(known), len(gone)):
            return Exit.PAUSED
        if job is not None:
            try:
                await wanted.go_on(client, job)
            except JobConflict as error:
                if error.status != JobStatus.COMPLETED:
                    raise
                # It has ended since it was looked at: what is pushed now begins another.
        await self._prepare(client, kb)
        held = wanted.full or bool(wanted.hold)
        if held:  # one job for all: it begins when all are there
            await client.start(
                wanted.kb_id,
                full=wanted.full,
                hold=[JobPhase.LOADING, *wanted.hold],
                allow_deletes=wanted.allow_deletes,
            )
        # Sent first, and taken out after that: broken off in between, files that were moved are there twice rather than
        # not at all.
        done = await push.run(known, gone, full=wanted.full)
        self._say(done.sent, done.same, done.refused)
        if done.gone:
            await push.remove_gone()
            say(f"removed {counted(len(done.gone), 'document')} gone from the folder")
        if held and JobPhase.LOADING not in wanted.hold:
            await client.resume(wanted.kb_id, JobPhase.LOADING)
        await self._go_on_with_what_waits(client)
        if job is None and not held and not done.sent and await self._has_ended(client, kb):
            self.alone = _told(wanted.kb_id, done)
        return Exit.FAILED if done.refused else Exit.COMPLETED

    def _asks(self, kb: "KnowledgeBase", had: int, gone: int) -> bool:
        """Whether most of what was pushed from the folder would go, and nobody has said yes to that; says so."""
        settings = self.wanted.settings.over(kb.settings) or kb.settings
        if self.wanted.allow_deletes or not why_not_delete({PUSH: had}, {PUSH: gone}, settings.max_deleted_share):
            return False
        say(
            f"{gone:,} of {counted(had, 'document')} that were pushed from here are gone here; nothing was pushed or"
            " removed: check the folder, or say --allow-deletes to push what is there and remove the others"
        )
        return True

    async def _prepare(self, client: "Client", kb: "KnowledgeBase | None") -> None:
        """Bring settings and sources to what is wanted, before the first file is sent."""
        wanted = self.wanted
        settings = wanted.settings.over(None if kb is None else kb.settings)
        wanted.say_what_is_made_again(kb, settings)
        if kb is None or settings is not None:
            await client.put_kb(wanted.kb_id, UploadSource() if kb is None else None, settings)
        if kb is not None and wanted.replace and any(each.type != "upload" for each in kb.sources.values()):
            await client.start(wanted.kb_id, UploadSource(), allow_deletes=True)
            await RemoteForeground(self.place, wanted.kb_id, self.as_json).settled(client, shows=True)

    async def _go_on_with_what_waits(self, client: "Client") -> None:
        """After a failed or cancelled job, nothing is begun for what was pushed before it."""
        kb = await client.kb(self.wanted.kb_id)
        is_over = kb.job is None or kb.job.status in {JobStatus.FAILED, JobStatus.CANCELLED}
        if kb.job is None or (is_over and kb.counts.queued):
            await client.start(self.wanted.kb_id)

    async def _has_ended(self, client: "Client", before: "KnowledgeBase | None") -> bool:
        """Whether the newest job is the one that was the newest before, and has left nothing to do."""
        after = await client.kb(self.wanted.kb_id)
        if before is None or before.job is None or after.job is None or after.job.job_id != before.job.job_id:
            return False
        return after.job.status.is_terminal and not after.counts.queued + after.counts.processing

    def _say(self, sent: int, same: int, refused: list[str]) -> None:
        say(f"pushed {counted(sent, 'file')}" + (f", {same:,} unchanged" if same else ""))
        for line in refused[:SHOWN]:
            say(f"  not pushed: {line}")
        if len(refused) > SHOWN:
            say(f"  and {len(refused) - SHOWN:,} more were not pushed")

    async def _known(self, client: "Client") -> "KnowledgeBase | None":
        try:
            return await client.kb(self.wanted.kb_id)
        except KnowledgeBaseNotFound:
            return None


def _names_files(source: "FolderSource") -> bool:
    """Whether a source is files of a folder that were named one by one."""
    return bool(source.include) and all(glob.startswith("/") for glob in source.include)


def _told(kb_id: str, done: "Pushed") -> "dict[str, Any]":
    """What a push has done that needed no job, with the fields that a program reads of a status."""
    status = JobStatus.FAILED if done.refused else JobStatus.COMPLETED
    found = [f"{done.same:,} unchanged", *([f"{len(done.gone):,} removed"] if done.gone else [])]
    refused = [f"{len(done.refused):,} not pushed"] if done.refused else []
    return {
        "job_id": None, "kb_id": kb_id, "status": status, "message": f"Nothing new: {', '.join(found + refused)}",
        "pushed": done.sent, "unchanged": done.same, "removed": done.gone, "not_pushed": done.refused,
    }  # fmt: skip


async def _as_it_is_there(client: "Client", source: FolderSource, present: "Mapping[str, Source]") -> FolderSource:
    """A folder under the path that a source of the knowledge base has for it, or for a folder above it.

    A path that was given relative to the service's directory is told as it was given. Which folder it names, the
    service knows.
    """
    there = [each.path for each in present.values() if each.type == "folder" and not PurePath(each.path).is_absolute()]
    try:
        real = PurePath((await client.folders(source.path)).path or "") if there else PurePath()
        for path in there:
            above = (await client.folders(path)).path or ""
            if real.is_relative_to(above):
                below = real.relative_to(above)
                return replace(source, path=str(PurePath(path) / below) if below.parts else path)
    except (SourceNotAllowed, InvalidRequest):
        return source  # it cannot be read there
    return source
