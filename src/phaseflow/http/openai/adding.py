"""How files get into vector stores: copied into the knowledge base as documents, in groups."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import anyio.to_thread

from phaseflow.components.upload_batch import UploadBatch
from phaseflow.domain.new_document import check_metadata
from phaseflow.domain.settings import Settings
from phaseflow.domain.status import KnowledgeBase
from phaseflow.domain.vocabulary import DocumentStatus
from phaseflow.flow import PhaseFlow
from phaseflow.flow.on_newest import on_newest
from phaseflow.http.app_state import AppState
from phaseflow.http.ingestion import check_room
from phaseflow.http.openai.errors import NotOffered
from phaseflow.http.openai.requests import CHARACTERS_A_TOKEN, Auto, StoreFileBody
from phaseflow.store.kept_files import KeptFile

TOGETHER = 50
"""Files stored or changed in one transaction."""
_AGAIN = frozenset({DocumentStatus.SKIPPED, DocumentStatus.FAILED})


async def add_files(state: AppState, kb_id: str, files: Sequence[StoreFileBody]) -> list[str]:
    """Add files to a knowledge base; the uris of the documents, in the order given.

    They are durable when this returns. One that is there already is loaded again if it had failed or was cancelled.
    Raises FileNotKept and InvalidRequest before any is added.
    """
    flow = state.flow
    kept = [await flow.files.get(file.file_id) for file in files]
    given = [
        None if file.attributes is None else json.dumps(check_metadata(file.attributes, "attributes")) for file in files
    ]
    await on_newest(lambda: flow.kb(kb_id), lambda kb: _apply_chunking(flow, kb, files))
    await check_room(state, kb_id, makes_job=False)
    uris = [f"{file.id}/{file.name}" for file in kept]
    # Looked up before they are pushed: a push of the same loads nothing again, but who adds a file that has failed, or
    # was cancelled, wants just that.
    again = [each.uri for each in await flow.documents_named(kb_id, uris) if each.status in _AGAIN]
    for first in range(0, len(kept), TOGETHER):
        async with flow.receiving(kb_id) as batch:
            for file, metadata in zip(kept[first : first + TOGETHER], given[first : first + TOGETHER], strict=True):
                await _copy(flow, file, batch, metadata)
            await flow.take_in(kb_id, batch)
    for few in in_groups(again):
        await flow.document_verbs.retry_each(kb_id, few)
    state.hub.invalidate(kb_id)
    return uris


async def _copy(flow: PhaseFlow, file: KeptFile, batch: UploadBatch, metadata: str | None) -> None:
    await anyio.to_thread.run_sync(batch.begin_document, f"{file.id}/{file.name}")
    async for part in flow.files.parts(file):
        await anyio.to_thread.run_sync(batch.write, part)
    await anyio.to_thread.run_sync(partial(batch.end, metadata=metadata))


def in_groups(uris: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many as are changed in one transaction."""
    return (uris[first : first + TOGETHER] for first in range(0, len(uris), TOGETHER))


def chunking_of(settings: Settings) -> dict[str, Any]:
    """The settings as the protocol has them."""
    sizes = {
        "max_chunk_size_tokens": settings.chunk_size // CHARACTERS_A_TOKEN,
        "chunk_overlap_tokens": settings.chunk_overlap // CHARACTERS_A_TOKEN,
    }
    return {"type": "static", "static": sizes}


async def _apply_chunking(flow: PhaseFlow, kb: KnowledgeBase, files: Sequence[StoreFileBody]) -> None:
    """One strategy holds for a whole knowledge base. One that is empty takes that of its first files."""
    wanted = {file.chunking_strategy for file in files if not isinstance(file.chunking_strategy, Auto | None)}
    different = [each for each in wanted if any(getattr(kb.settings, name) != n for name, n in each.sizes.items())]
    if not different:
        return
    if len(wanted) > 1 or any(kb.counts.model_dump().values()):
        has = chunking_of(kb.settings)["static"]
        raise NotOffered(
            f"chunking_strategy: all files of a vector store are cut alike, those of {kb.kb_id!r} into"
            f" {has['max_chunk_size_tokens']} tokens with an overlap of {has['chunk_overlap_tokens']}; leave it out,"
            " or create another vector store with this strategy"
        )
    settings = Settings.model_validate(kb.settings.model_dump() | different[0].sizes)
    await flow.put_kb(kb.kb_id, settings=settings, if_match=kb.etag)
