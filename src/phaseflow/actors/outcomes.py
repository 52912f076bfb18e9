"""What became of the documents that loading has read: sorted by kind, and written into the rows of each kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from phaseflow.actors.context import RunContext
from phaseflow.actors.document_reading import Followed, LeftOut, Loaded
from phaseflow.components.protocols import Document, Entry, Skipped, Unchanged
from phaseflow.domain.identifiers import whole_characters
from phaseflow.domain.vocabulary import JobPhase
from phaseflow.store import texts
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.crawl_frontier import Frontier, KnownVersions, ListedEntry
from phaseflow.store.displaced import DisplacedEntries
from phaseflow.store.failures import FailedDocument, Failures
from phaseflow.store.inbox import Inbox
from phaseflow.store.job_sources import JobSources
from phaseflow.store.loaded_text import LoadedText
from phaseflow.store.states import EntryState
from phaseflow.store.transaction import Transaction
from phaseflow.store.twins import Twins


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Some documents of one source, by what became of them. ``done``: all, as they came."""

    done: Sequence[Loaded]
    loaded: list[LoadedText]
    unchanged: list[tuple[ListedEntry, Unchanged]]
    skipped: list[tuple[ListedEntry, Skipped]]
    left_out: list[ListedEntry]
    followed: list[ListedEntry]
    failed: list[tuple[ListedEntry, FailedDocument]]

    @classmethod
    def of(cls, done: Sequence[Loaded]) -> Self:
        """Sort them. Takes long for long texts, so not in a transaction."""
        return cls(
            done,
            loaded=[_text(entry, outcome) for entry, outcome in done if isinstance(outcome, Document)],
            unchanged=[(entry, outcome) for entry, outcome in done if isinstance(outcome, Unchanged)],
            skipped=[(entry, outcome) for entry, outcome in done if isinstance(outcome, Skipped)],
            left_out=[entry for entry, outcome in done if isinstance(outcome, LeftOut)],
            followed=[entry for entry, outcome in done if isinstance(outcome, Followed)],
            failed=[(entry, outcome) for entry, outcome in done if isinstance(outcome, FailedDocument)],
        )

    @property
    def as_before(self) -> int:
        """How many keep the version that they have, and count as reused."""
        return len(self.unchanged) + len(self.left_out)

    def links(self) -> list[Entry]:
        """What they lead to, each address once."""
        found = [link for _, outcome in self.done if not isinstance(outcome, FailedDocument) for link in outcome.links]
        # Several pages lead to the same address: the shortest way counts, so the deepest come first and are
        # overwritten. Else the depth limit would depend on which page was read first.
        return list({link.uri: link for link in sorted(found, key=_depth, reverse=True)}.values())


class OutcomeRows:
    """Settles outcomes in the rows of a job, its inbox and its knowledge base, all in the one transaction it is given:
    an entry that is settled without its text, failure or request would stay like that after a crash."""

    def __init__(self, tx: Transaction, context: RunContext, source: str) -> None:
        target = context.plan.target
        self._tx = tx
        self._context = context
        self._target = target
        self._source = source
        self._seq = context.plan.attempt.job_seq
        self._frontier = Frontier(tx, self._seq)
        self._catalogue = Catalogue(tx, target.kb_key)

    def settle(self, outcomes: Outcomes) -> int:
        """Write all but texts, links and counts. Returns how many documents come onto the list again."""
        DisplacedEntries(self._tx, self._seq).settle([entry.id for entry in outcomes.followed])
        self._frontier.settle([text.entry_id for text in outcomes.loaded], EntryState.LOADED)
        self._unchanged(outcomes.unchanged)
        # Not SKIPPED, which means that the source has no such document: it has this one, so it counts and stays.
        self._frontier.settle([entry.id for entry in outcomes.left_out], EntryState.UNCHANGED)
        self._requests(outcomes)
        listed_again = self._skipped(outcomes.skipped)
        self._failed(outcomes.failed)
        tried = [entry.uri for entry, o in outcomes.done if not isinstance(o, Skipped | LeftOut | Followed)]
        self._catalogue.count_attempts(tried)
        return listed_again

    def _unchanged(self, unchanged: list[tuple[ListedEntry, Unchanged]]) -> None:
        if not unchanged:
            return
        self._frontier.settle([entry.id for entry, _ in unchanged], EntryState.UNCHANGED)
        known = KnownVersions(self._tx, self._target.kb_key, self._target.index_version)
        stamps = [(entry.uri, outcome.stamp) for entry, outcome in unchanged]
        known.refresh_stamps(stamps, self._source)
        # Only of these: a document that was read anew keeps its failure, and its request, until it is searchable, for a
        # later phase may fail it again.
        Failures(self._tx, self._target.kb_key).clear([entry.uri for entry, _ in unchanged])

    def _requests(self, outcomes: Outcomes) -> None:
        inbox = Inbox(self._tx, self._target.kb_key)
        inbox.leave_newer(self._seq, [(entry.uri, entry.request) for entry, _ in outcomes.done if not entry.is_held])
        ended = [*(entry for entry, _ in outcomes.unchanged), *(entry for entry, _ in outcomes.skipped)]
        inbox.settle(self._seq, [entry.uri for entry in (*ended, *outcomes.left_out)])

    def _skipped(self, skipped: list[tuple[ListedEntry, Skipped]]) -> int:
        """The source has no such documents. A page that is another's twin notes which, and may bring that back."""
        if not skipped:
            return 0
        self._frontier.settle([entry.id for entry, _ in skipped], EntryState.SKIPPED)
        # Now, not when all that is gone is taken out: no document has failed here, so none counts as failed.
        Failures(self._tx, self._target.kb_key).clear([entry.uri for entry, _ in skipped])
        self._catalogue.forget([entry.uri for entry, _ in skipped])
        twin_of = [(outcome.twin, entry.uri, outcome.is_same) for entry, outcome in skipped if outcome.twin]
        twins = Twins(self._tx)
        twins.note(self._target, [(twin, uri) for twin, uri, _ in twin_of])
        if canonical := [uri for _, uri, is_same in twin_of if not is_same]:
            JobSources(self._tx, self._seq).add_canonical(self._source, canonical)
        return twins.mark_same(self._seq, [(twin, uri) for twin, uri, is_same in twin_of if is_same])

    def _failed(self, failed: list[tuple[ListedEntry, FailedDocument]]) -> None:
        if not failed:
            return
        self._frontier.settle([entry.id for entry, outcome in failed if not outcome.gone], EntryState.FAILED)
        self._frontier.settle([entry.id for entry, outcome in failed if outcome.gone], EntryState.GONE)
        self._context.fail(self._tx, JobPhase.LOADING, [outcome for _, outcome in failed])


def _storable(text: str) -> str:
    """The same number of characters, without those that UTF-8 and SQLite's functions cannot hold.

    In pieces: encoding a text of 64 MB in one call would keep the interpreter lock for a tenth of a second.
    """
    pieces = [text[start : start + texts.SEGMENT] for start in range(0, len(text), texts.SEGMENT)]
    clean = [_clean(piece) for piece in pieces]
    return text if all(a is b for a, b in zip(pieces, clean, strict=True)) else "".join(clean)


def _clean(piece: str) -> str:
    if "\0" in piece:
        piece = piece.replace("\0", " ")
    try:
        piece.encode()
    except UnicodeEncodeError:
        return whole_characters(piece)
    return piece


def _depth(link: Entry) -> int:
    return link.depth


def _text(entry: ListedEntry, document: Document) -> LoadedText:
    return LoadedText(
        entry_id=entry.id,
        uri=entry.uri,
        title=_storable(document.title),
        media_type=document.read_as or document.media_type,
        text_type=document.media_type,
        content_hash=document.content_hash.hex(),
        stamp=document.stamp,
        text=_storable(document.text),
        parts=document.parts,
        source=entry.source,
        size=entry.size if document.size is None else document.size,
        metadata=document.metadata,
    )
