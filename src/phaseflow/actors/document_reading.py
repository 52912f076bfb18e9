"""How loading reads one document: its attempts, and what becomes of it."""

from collections.abc import Callable
from dataclasses import dataclass

from phaseflow.actors.context import RunContext
from phaseflow.actors.gate import Gate
from phaseflow.actors.loading_limits import LoadingLimits
from phaseflow.actors.put_aside import PutAside, Tries
from phaseflow.components.contained import contained
from phaseflow.components.loader_answers import checked_document
from phaseflow.components.protocols import Document, Entry, Known, Loader, Skipped, Unchanged
from phaseflow.components.sources.beneath import advice, lacks_descriptors
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import (
    ComponentUnavailable,
    DocumentError,
    LeftAlone,
    RateLimited,
    SourceDown,
    TransientError,
    WorkersDown,
    WorkerUnavailable,
)
from phaseflow.domain.exception_text import named, text_of
from phaseflow.domain.policy import workers_wait_s
from phaseflow.domain.vocabulary import JobPhase, WaitingOn
from phaseflow.store.crawl_frontier import ListedEntry
from phaseflow.store.failures import FailedDocument
from phaseflow.store.progress import PhaseProgress

_AFTER_OTHERS_S = 0.5
"""How long a page that a site has refused waits for those that were not asked since."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The document is skipped on request: it is not read."""

    links: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Followed:
    """Another source holds the page: only what it leads to counts."""

    links: tuple[Entry, ...] = ()


Outcome = Document | Unchanged | Skipped | LeftOut | Followed | FailedDocument
Loaded = tuple[ListedEntry, Outcome]
"""A document of the crawl, and what became of it."""


class DocumentReader:
    """Reads documents of one source, inside the gate. ``pause_if`` pauses the phase for a reason, if there is one and
    nothing else can go on; it answers whether it did."""

    def __init__(
        self,
        context: RunContext,
        gate: Gate,
        loader: Loader,
        limits: LoadingLimits,
        aside: PutAside,
        pause_if: Callable[[str | None], bool],
    ) -> None:
        self._context = context
        self._gate = gate
        self._loader = loader
        self._limits = limits
        self._aside = aside
        self._pause_if = pause_if

    async def read(self, entry: ListedEntry) -> Outcome | None:
        """What becomes of a document; None for now where it is put aside for its next attempt, and where the gate has
        closed meanwhile: it is still open in the list then, and is read later.

        Raises SourceDown and ComponentUnavailable when nothing of the source can be read.
        """
        if entry.is_skipped:
            self._aside.settle(entry.id)
            return LeftOut()
        with self._aside.trying(entry.id) as tries:
            return await self._try(entry, tries)

    async def _try(self, entry: ListedEntry, tries: Tries) -> Outcome | None:
        down = 0
        while self._gate.is_open:  # asked, not entered: the page is inside the gate already
            try:
                outcome = await self._load(entry)
                if entry.is_held:
                    outcome = Followed() if isinstance(outcome, FailedDocument) else Followed(outcome.links)
            except RateLimited as error:  # no fault of the page, and no attempt
                is_own = not isinstance(error, LeftAlone)
                tries.limited += is_own
                if not getattr(self._loader, "follows_links", False):
                    await self._wait_out(error, tries.limited)
                elif not self._pause_if(
                    self._limits.why_pause(error, awaits_others=self._aside.awaits_others(entry.id))
                ):
                    # A site keeps its own pace. What it has no room for waits beside the others, and those that were
                    # not asked meanwhile go first: it may be this page alone that is refused, for ever.
                    room_s = self._limits.wait_s(error, tries.limited) + (_AFTER_OTHERS_S if is_own else 0)
                    self._aside.put_limited(entry.id, tries, room_s)
                    return None
            except WorkersDown as error:  # no fault of the document, and no attempt: it is waited for
                down += 1
                await self.show(WaitingOn.WORKERS)
                await self._gate.sleep(workers_wait_s(down, error.retry_after_s))
            except TransientError as error:
                wait_s = self._context.backoff_s(tries.attempt, tries.waited_s, error.retry_after_s)
                if wait_s is not None:
                    self._aside.put(entry.id, tries, wait_s)
                    return None
                # A server that is gone fails every page in the same way. If nothing was answered since this page began,
                # it is the source that is down, and the job should say so once instead of failing ten thousand
                # documents. While other pages pass, it is this one that cannot be reached.
                if isinstance(error, SourceDown) and self._limits.last_success <= tries.began:
                    raise
                self._aside.settle(entry.id)
                counts = not isinstance(error, WorkerUnavailable)
                why = f"{text_of(error)}; gave up after {counted(tries.attempt, 'attempt')}"
                if entry.is_held:
                    return Followed()
                return FailedDocument(entry.uri, error.code, why, counts)
            else:
                self._aside.settle(entry.id)
                return outcome
        return None

    async def show(self, reason: WaitingOn | None) -> None:
        """Have the status say why nothing moves; None: it does."""
        attempt = self._context.plan.attempt
        await self._context.write(lambda tx: PhaseProgress(tx, attempt, JobPhase.LOADING).wait_on(reason))

    async def _load(self, entry: ListedEntry) -> Outcome:
        known = None if entry.known_hash is None else Known(bytes.fromhex(entry.known_hash), entry.known_stamp)
        listed = Entry(entry.uri, entry.size, entry.stamp, entry.depth)
        try:
            with self._gate.calls.on():
                answer = await contained(self._loader.load(listed, known), "the loader")
            found = checked_document(self._loader, answer, listed, known)
        except (TransientError, ComponentUnavailable):
            raise
        except DocumentError as error:
            self._limits.forget()
            return FailedDocument(entry.uri, error.code, text_of(error), error.counts, error.gone)
        except ImportError as error:
            raise ComponentUnavailable(f"the loader cannot work: {text_of(error)}; install what is missing") from error
        except OSError as error:
            if lacks_descriptors(error):
                raise TransientError(f"cannot read {entry.uri} ({error.strerror}); {advice(error)}") from error
            return FailedDocument(entry.uri, "load_error", named(error))
        except Exception as error:  # noqa: BLE001  # whatever a loader raises is the document's failure
            return FailedDocument(entry.uri, "load_error", named(error))
        self._limits.passed()
        return found

    async def _wait_out(self, error: RateLimited, times: int) -> None:
        """Wait as the source asks, shown; or pause the phase when it has answered nothing else for too long."""
        if self._pause_if(self._limits.why_pause(error)):
            return
        await self.show(WaitingOn.RATE_LIMIT)
        await self._gate.sleep(self._limits.wait_s(error, times))
        if not self._gate.is_open:
            self._limits.forget()
