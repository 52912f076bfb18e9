"""The states of rows, by the numbers that the tables hold. SQL is built from them, never from a bare number."""

from enum import IntEnum
from typing import Final

from phaseflow.domain.vocabulary import JobPhase


class DocumentState(IntEnum):
    """Where one version of a document stands (``documents.state``)."""

    STORING = 0
    """Its text is being stored, in several transactions; nobody sees it."""
    LOADED = 1
    """Its text is stored; chunking has it next."""
    CHUNKED = 2
    """Its passages are stored; embedding has it next."""
    EMBEDDED = 3
    """All its passages have vectors; indexing has it next."""
    SEARCHABLE = 4
    """It answers searches, in place of any older version."""
    FAILED = 9
    """A phase could not use it; ``failures`` says why. A retry gives it back to that phase."""
    GONE = 10
    """Removed or replaced; nobody sees it, and the janitor deletes it."""


class EntryState(IntEnum):
    """What became of a document that the source of a job has (``job_entries.state``)."""

    LISTED = 0
    """Still to be read."""
    LOADED = 1
    """Read, and new or changed."""
    UNCHANGED = 2
    """Its searchable version is the same."""
    FAILED = 3
    """It could not be read; a retry reads it again."""
    SKIPPED = 4
    """Not a document: what the source has there is left out."""
    GONE = 5
    """The source listed it, and then had it no more."""
    RETURNED = 6
    """The source did not have it, and has it again; its searchable version stays, and the next job reads it."""


class Reading(IntEnum):
    """Whether a page that another source holds is read for its links (``displaced_entries.reading``)."""

    NOT = 0
    """Its source follows no links, or has no room for more pages."""
    LISTED = 1
    """Still to be read."""
    READ = 2
    """What it leads to is known."""


HANDED_TO: Final = {
    JobPhase.CHUNKING: DocumentState.LOADED,
    JobPhase.EMBEDDING: DocumentState.CHUNKED,
    JobPhase.INDEXING: DocumentState.EMBEDDED,
}
"""The state of the documents that a phase has to do next. Loading has entries to do instead."""

# Conditions of SQL, before which an alias of the table may stand. SQLite uses a partial index only where its condition
# is named as it stands in schema.sql.
IS_SEARCHABLE: Final = f"state = {DocumentState.SEARCHABLE}"
"""Of ``documents``, with the index ``documents_live``."""
IS_GONE: Final = f"state = {DocumentState.GONE}"
"""Of ``documents``, with the index ``documents_gone``."""
IS_ON_ITS_WAY: Final = f"state NOT IN ({DocumentState.SEARCHABLE}, {DocumentState.GONE:d})"
"""Of ``documents``, with the index ``documents_open``."""
IS_IN_HAND: Final = f"state < {DocumentState.SEARCHABLE} AND carried_from IS NULL"
"""Of ``documents``, with the index ``documents_in_hand``: a phase has it, or has it next. What is carried over from an
older index is no news of its document."""
IS_LISTED: Final = f"state = {EntryState.LISTED}"
"""Of ``job_entries``, with the indexes ``job_entries_open`` and ``job_entries_unread``."""
HAS_FAILED: Final = f"state IN ({EntryState.FAILED}, {EntryState.GONE:d})"
"""Of ``job_entries``, with the index ``job_entries_failed``."""
WAS_READ: Final = f"state IN ({EntryState.LOADED}, {EntryState.UNCHANGED:d}, {EntryState.SKIPPED:d})"
"""Of ``job_entries``: what it leads to is known."""
IS_TO_BE_FOLLOWED: Final = f"reading = {Reading.LISTED}"
"""Of ``displaced_entries``, with the index ``displaced_entries_unread``."""
IS_A_DOCUMENT: Final = f"state <> {EntryState.SKIPPED}"
"""Of ``job_entries``."""
