"""How jobs are made: by somebody who starts one, or to keep in step with a source."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from importlib.util import find_spec

from anyio import to_thread

from phaseflow.components.sources.changed_files import ChangedFiles
from phaseflow.components.sources.prefixed import source_uris
from phaseflow.domain import tracing
from phaseflow.domain.errors import InvalidRequest, MissingExtra
from phaseflow.domain.etags import Precondition
from phaseflow.domain.identifiers import check_kb_id
from phaseflow.domain.indexed_with import PHASEFLOW
from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.phase import BY_USER
from phaseflow.domain.settings import SOURCES, Settings
from phaseflow.domain.vocabulary import Intent, JobPhase
from phaseflow.flow import inputs
from phaseflow.flow.engine import Engine
from phaseflow.flow.job import Job
from phaseflow.store.catalogue import PUSH, Catalogue
from phaseflow.store.inbox import Inbox
from phaseflow.store.job_settings import reads_otherwise
from phaseflow.store.job_sources import are_kept_from
from phaseflow.store.jobs import Jobs
from phaseflow.store.knowledge_bases import KnowledgeBaseRecord, KnowledgeBases
from phaseflow.store.transaction import Transaction
from phaseflow.supervisor.giving_way import giving_way
from phaseflow.supervisor.own_jobs import OwnJob
from phaseflow.tracker import Changed, NextJob, change_in


class Starting:
    """Makes the jobs of an engine, and defines the knowledge bases that they run on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(
        self,
        kb_id: str,
        source: inputs.SourceLike | None,
        sources: Mapping[str, inputs.SourceLike] | None,
        settings: inputs.SettingsLike | None,
        *,
        full: bool,
        hold: Iterable[JobPhase | str],
        allow_deletes: bool,
    ) -> Job:
        """Check all that is given, then make a job."""
        check_kb_id(kb_id)
        held, full, chosen = inputs.as_phases(hold), inputs.as_flag("full", full), inputs.as_settings(settings)
        # Before its source is looked at, or asked for: a start that is refused has touched no wire.
        kb = await self._engine.read(partial(_to_start, kb_id))
        given = await self._engine.components.sources.checked(source, sources, kb)
        await self._check_stored(kb, chosen, takes_source=given is None)
        allowed = inputs.as_flag("allow_deletes", allow_deletes)
        async with giving_way(self._engine.scheduler, kb_id):
            return await self._create(kb_id, given, chosen, full=full, held=held, allow_deletes=allowed, by_user=True)

    async def start_in_step(self, kb_id: str, sources: Collection[str] | None) -> Job:
        """Make a job on some sources of a knowledge base, by name; on all of them for None."""
        await self._check_stored(await self._find(kb_id), None, takes_source=True)
        return await self._create(kb_id, None, only=sources)

    async def ask_in_step(self, kb_id: str, changes: Mapping[str, ChangedFiles]) -> Collection[str]:
        """Ask for documents that have changed to be loaded, whatever job is open; the sources that have to be listed
        instead, of which nothing is asked for: a document of theirs is gone, or another source has it."""
        await self._check_stored(await self._find(kb_id), None, takes_source=True)

        def change(tx: Transaction, at: datetime) -> list[str]:
            kb = KnowledgeBases(tx).get(kb_id)
            listed, catalogue = [], Catalogue(tx, kb.key)
            for source, found in changes.items():
                uris, gone = (sorted(source_uris(source, each)) for each in (found.uris, found.gone))
                held_by = {uri: known.source for uri, known in catalogue.of(uris).items()}
                if set(held_by.values()) - {source, PUSH} or catalogue.knows_any(source, gone):
                    listed.append(source)
                    continue
                mine = [uri for uri in uris if held_by.get(uri) != PUSH]  # what was pushed goes before a file
                catalogue.note(source, mine, at)
                Inbox(tx, kb.key).ask(mine, at)
            return listed

        return (await self._engine.change_documents(kb_id, change, is_push=True))[0]

    async def put_kb(
        self,
        kb_id: str,
        source: inputs.SourceLike | None,
        settings: inputs.SettingsLike | None,
        sources: Mapping[str, inputs.SourceLike] | None,
        precondition: Precondition,
    ) -> None:
        """Create a knowledge base or change it."""
        check_kb_id(kb_id)
        hub, kb = self._engine.hub, await self._find(kb_id)
        given = await self._engine.components.sources.checked(source, sources, kb)
        chosen, at = inputs.as_settings(settings), hub.clock.now()
        await self._check_stored(kb, chosen)
        await hub.database.write(
            lambda tx: self._engine.definitions.put(tx, kb_id, given, chosen, at, precondition),
            durable=True,
            then=lambda _: hub.feed.touch(kb_id),
        )

    async def _create(
        self,
        kb_id: str,
        given: str | None,
        chosen: Settings | None = None,
        *,
        full: bool = False,
        held: Collection[JobPhase] = (),
        allow_deletes: bool = False,
        only: Collection[str] | None = None,
        by_user: bool = False,
    ) -> Job:
        hub, scheduler = self._engine.hub, self._engine.scheduler
        state = IngestionState(uuid.uuid4().hex, kb_id)
        at = hub.clock.now()

        def hold(new: IngestionState) -> IngestionState:
            return new.each(lambda phase: phase.hold(BY_USER), held)

        def create(tx: Transaction) -> list[Changed]:
            ended = OwnJob(tx, kb_id).end(hub.clock) if by_user else None
            NextJob(tx, kb_id).make_room(at)
            kb = self._engine.definitions.to_start(tx, kb_id, given, chosen, at)
            queued = state if JobPhase.LOADING in held else state.queue(Intent.START, at)
            some = None if only is None or self._needs_all(tx, kb, only) else only
            Jobs(tx).create(
                queued, sources=_some_of(kb.sources, some), settings=kb.settings, full=full, at=at,
                allow_deletes=allow_deletes, made_again=self._engine.components.makes_again(tx, kb),
            )  # fmt: skip
            # A move of its own: a job that begins paused was pending before, also for those who follow the log.
            paused = change_in(tx, state.job_id, hold, hub.clock, BY_USER) if held else None
            return [each for each in (ended, paused) if each is not None]

        origin = tracing.origin()

        def created(changed: list[Changed]) -> None:
            for each in changed:
                hub.tell(each)
            scheduler.note_origin(state.job_id, origin)
            hub.feed.touch(kb_id)
            scheduler.abandon(kb_id)
            scheduler.wake()

        await hub.database.write(create, durable=True, then=created)
        return Job(state.job_id, kb_id, hub.feed)

    def _needs_all(self, tx: Transaction, kb: KnowledgeBaseRecord, only: Collection[str]) -> bool:
        """Whether a job on these sources alone would make all again, or take out what another source has as well."""
        return self._makes_all_again(tx, kb) or are_kept_from(tx, kb.key, kb.holders() - set(only), only)

    def _makes_all_again(self, tx: Transaction, kb: KnowledgeBaseRecord) -> bool:
        """Whether a job reads, cuts or embeds in another way than the index was made: then it needs all sources."""
        if kb.live_settings is None:
            return False
        # By other rules only what a job reads is made again: it can read some of the sources.
        is_older = any(each.setting != PHASEFLOW for each in self._engine.components.older_settings(kb))
        return is_older or reads_otherwise(tx, kb.key, kb.settings)

    async def _find(self, kb_id: str) -> KnowledgeBaseRecord | None:
        return await self._engine.read(lambda tx: KnowledgeBases(tx).find(kb_id))

    async def _check_stored(
        self, kb: KnowledgeBaseRecord | None, chosen: Settings | None, *, takes_source: bool = False
    ) -> None:
        """Check what a job would take: what is allowed may have changed since it was stored."""
        if takes_source and kb is not None and kb.sources is not None:
            await self._engine.components.sources.check_stored(kb.sources)
        await _check_choice(chosen)
        await self._engine.components.check_settings(self._engine.definitions.settings_json(chosen, kb))


async def _check_choice(chosen: Settings | None) -> None:
    """Raise InvalidRequest for settings that nobody here can do anything with, when they are chosen: a job whose
    settings were chosen before goes on without that."""
    if chosen is not None and chosen.ocr is not None and await to_thread.run_sync(find_spec, "rapidocr") is None:
        raise InvalidRequest("settings.ocr", str(MissingExtra("text recognition", "ocr")))


def _some_of(sources: str | None, names: Collection[str] | None) -> str | None:
    """Stored sources, or those of them with these names; all, where there is none of these any more."""
    if sources is None or names is None:
        return sources
    found = {name: source for name, source in SOURCES.validate_json(sources).items() if name in names}
    return SOURCES.dump_json(found).decode() if found else sources


def _to_start(kb_id: str, tx: Transaction) -> KnowledgeBaseRecord | None:
    """The knowledge base that a job is to be started on, None for a new one. Raises JobConflict beside a job."""
    OwnJob(tx, kb_id).check_gives_way()
    return KnowledgeBases(tx).find(kb_id)
