"""Documents that a source has under several uris: one is the document, and names the others."""

from collections.abc import Sequence

from phaseflow.store.documents import Target
from phaseflow.store.states import IS_ON_ITS_WAY, IS_SEARCHABLE
from phaseflow.store.transaction import Transaction

MOST = 50
"""Of the other uris that a document names: metadata are bounded."""


def note(tx: Transaction, where: Target, twins: Sequence[tuple[str, str]]) -> None:
    """Have the metadata of documents name the other addresses that have the same bytes, at most ``MOST`` each.

    ``twins`` are (uri of the document, the other one).
    """
    for uri, other in twins:
        tx.run(
            "UPDATE documents SET"
            " own_metadata = json_set(own_metadata, '$.also_at',"
            "  json_insert(coalesce(own_metadata -> '$.also_at', json('[]')), '$[#]', ?4)),"
            f" metadata = iif({IS_SEARCHABLE}, json_set(metadata, '$.also_at',"
            "  json_insert(coalesce(metadata -> '$.also_at', json('[]')), '$[#]', ?4)), metadata)"
            f" WHERE kb_id = ?1 AND index_version = ?2 AND uri = ?3 AND ({IS_SEARCHABLE} OR {IS_ON_ITS_WAY})"
            "  AND json_array_length(coalesce(own_metadata -> '$.also_at', '[]')) < ?5"
            "  AND NOT EXISTS (SELECT 1 FROM json_each(own_metadata, '$.also_at') WHERE value = ?4)",
            where.kb_key, where.index_version, uri, other, MOST,
        )  # fmt: skip
