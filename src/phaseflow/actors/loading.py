"""The loading actor: lists the source, reads what is new, and stores it as text."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import anyio

from phaseflow.actors.actor import Actor
from phaseflow.components.protocols import Document, Entry, Known, Skipped, Unchanged
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, SourceDown, TransientError
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import documents, entries, failures, faults
from phaseflow.store.documents import LoadedText, StagedDocument
from phaseflow.store.entries import ListedEntry
from phaseflow.store.failures import FailedDocument
from phaseflow.store.progress import Done
from phaseflow.store.transaction import Transaction

BATCH = 32
"""Documents read and stored together, where reading them takes no longer than ``STORE_S``."""
STORE_S = 0.5
"""What has been read waits no longer to be stored: a site that answers every ten seconds is lost a page by a kill, not
a batch, and its progress is seen."""
IN_FLIGHT = 4
"""Documents read at once, unless the loader has an ``in_flight`` of its own."""

Outcome = Document | Unchanged | Skipped | FailedDocument


class LoadingActor(Actor):
    """Turns what a source has into texts. Documents that did not change cost a hash, or not even that."""

    phase = JobPhase.LOADING

    async def work(self) -> None:
        plan = self.shop.plan
        staging = plan.staging
        self._known = (staging.kb_key, staging.epoch, staging.recipe)
        self._loader = plan.components.loader
        self._limit = anyio.CapacityLimiter(getattr(self._loader, "in_flight", IN_FLIGHT))
        if not plan.listed:
            await self._list()
        while page := await self._open_page():
            async with self.gate:
                await self._load(page)
            faults.reach("loading.between")

    async def _list(self) -> None:
        async with aclosing(self._loader.list()) as pages:  # type: ignore[type-var]  # every async generator has aclose
            while await self._list_page(pages):
                faults.reach("loading.listed")

    async def _list_page(self, pages: Any) -> bool:
        async with self.gate:
            page: Sequence[Entry] | None = await anext(pages, None)
            await self.shop.write(lambda tx: self._store_entries(tx, page or (), is_last=page is None))
            return page is not None

    def _store_entries(self, tx: Transaction, found: Sequence[Entry], *, is_last: bool) -> None:
        seq = self.shop.plan.run.job_seq
        trust = None if self.shop.plan.full else self._known
        most: int | None = getattr(self._loader, "max_entries", None)
        _, unchanged = entries.add(tx, seq, [(e.uri, e.size, e.stamp, e.depth) for e in found], trust, most)
        total = entries.count(tx, seq) if is_last else None
        if is_last:
            entries.finish_listing(tx, seq)
        self.shop.advance(tx, self.phase, Done(processed=unchanged, reused=unchanged, total=total))

    async def _open_page(self) -> list[ListedEntry]:
        seq = self.shop.plan.run.job_seq
        return await self.shop.database.read(lambda tx: entries.open_page(tx, seq, BATCH, self._known))

    async def _load(self, page: list[ListedEntry]) -> None:
        outcomes: dict[int, Outcome] = {}
        ended = anyio.Event()
        async with anyio.create_task_group() as keeper:
            keeper.start_soon(self._keep, page, outcomes, ended)
            failure = await self._load_all(page, outcomes)
            ended.set()
        if failure is not None:
            raise failure

    async def _load_all(self, page: list[ListedEntry], outcomes: dict[int, Outcome]) -> Exception | None:
        try:
            async with anyio.create_task_group() as tasks:
                for entry in page:
                    tasks.start_soon(self._load_one, entry, outcomes)
        except Exception as error:  # noqa: BLE001  # raised once what was read is stored
            return error
        return None

    async def _keep(self, page: list[ListedEntry], outcomes: dict[int, Outcome], ended: anyio.Event) -> None:
        """Store what has been read, until nothing more will be."""
        is_last = False
        while not is_last:
            with anyio.move_on_after(STORE_S):
                await ended.wait()
            is_last = ended.is_set()
            done = [(entry, outcomes.pop(entry.id)) for entry in page if entry.id in outcomes]
            if done:
                await self._store_done(done)

    async def _store_done(self, done: list[tuple[ListedEntry, Outcome]]) -> None:
        await self.shop.write(lambda tx: self._store(tx, done), self._hand_over)
        for _, outcome in done:
            if not isinstance(outcome, FailedDocument):
                self.spend(None)
            elif outcome.counts:
                self.spend(f"{outcome.uri}: {outcome.error}")

    async def _load_one(self, entry: ListedEntry, outcomes: dict[int, Outcome]) -> None:
        known = None
        if entry.known_hash is not None:
            known = Known(bytes.fromhex(entry.known_hash), entry.known_stamp)
        listed = Entry(entry.uri, entry.size, entry.stamp, entry.depth)
        attempt, waited_s = 1, 0.0
        async with self._limit:
            while self.gate.is_open:
                try:
                    outcomes[entry.id] = await self._loader.load(listed, known)
                except TransientError as error:
                    wait_s = self.shop.backoff_s(attempt, waited_s, error.retry_after_s)
                    if wait_s is None and isinstance(error, SourceDown):
                        raise
                    if wait_s is None:
                        outcomes[entry.id] = FailedDocument(entry.uri, error.code, str(error))
                        return
                    attempt, waited_s = attempt + 1, waited_s + wait_s
                    await self.gate.sleep(wait_s)
                    continue
                except DocumentError as error:
                    outcomes[entry.id] = FailedDocument(entry.uri, error.code, str(error), error.counts, error.gone)
                except ComponentUnavailable:
                    raise
                except Exception as error:  # noqa: BLE001  # whatever a loader raises is the document's failure
                    outcomes[entry.id] = FailedDocument(entry.uri, "load_error", f"{type(error).__name__}: {error}")
                return

    def _store(self, tx: Transaction, done: list[tuple[ListedEntry, Outcome]]) -> list[StagedDocument]:
        plan = self.shop.plan
        seq, known = plan.run.job_seq, (plan.staging.kb_key, plan.staging.epoch)
        loaded = [_text(entry, outcome) for entry, outcome in done if isinstance(outcome, Document)]
        unchanged = [(entry, outcome) for entry, outcome in done if isinstance(outcome, Unchanged)]
        skipped = [entry.id for entry, outcome in done if isinstance(outcome, Skipped)]
        failed = [(entry, outcome) for entry, outcome in done if isinstance(outcome, FailedDocument)]
        staged = documents.add(tx, plan.staging, loaded) if loaded else []
        entries.settle(tx, seq, [text.entry_id for text in loaded], entries.LOADED)
        if unchanged:
            entries.settle(tx, seq, [entry.id for entry, _ in unchanged], entries.UNCHANGED)
            entries.refresh_stamps(tx, known, [(entry.uri, outcome.stamp) for entry, outcome in unchanged])
            failures.clear(tx, plan.staging.kb_key, [entry.uri for entry, _ in unchanged])
        if skipped:
            entries.settle(tx, seq, skipped, entries.SKIPPED)
        if failed:
            entries.settle(tx, seq, [entry.id for entry, f in failed if not f.gone], entries.FAILED)
            entries.settle(tx, seq, [entry.id for entry, f in failed if f.gone], entries.GONE)
            self.shop.fail(tx, self.phase, [outcome for _, outcome in failed])
        found = [link for _, outcome in done if not isinstance(outcome, FailedDocument) for link in outcome.links]
        links = {link.uri: link for link in sorted(found, key=_depth, reverse=True)}
        if links:
            self._store_entries(tx, list(links.values()), is_last=False)
        total = entries.count(tx, seq) if links or skipped else None
        counts = Done(len(loaded) + len(unchanged), len(failed), len(unchanged), len(loaded), total)
        self.shop.advance(tx, self.phase, counts)
        return staged

    def _hand_over(self, staged: list[StagedDocument]) -> None:
        assert self._outbox is not None
        self._outbox.offer(staged)


def _depth(link: Entry) -> int:
    return link.depth


def _text(entry: ListedEntry, document: Document) -> LoadedText:
    return LoadedText(
        entry_id=entry.id,
        uri=entry.uri,
        title=_storable(document.title),
        media_type=document.media_type,
        content_hash=document.content_hash.hex(),
        stamp=document.stamp,
        text=_storable(document.text),
        parts=document.parts,
    )


def _storable(text: str) -> str:
    """The same number of characters, without those that UTF-8 and SQLite's functions cannot hold."""
    clean = text.replace("\0", " ") if "\0" in text else text
    try:
        clean.encode()
    except UnicodeEncodeError:
        return clean.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return clean
