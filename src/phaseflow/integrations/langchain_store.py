"""A knowledge base as a vector store of LangChain; import it from ``phaseflow.integrations.langchain``."""

import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from phaseflow.client import Client, SyncClient
from phaseflow.domain.errors import DocumentNotFound, InvalidRequest, KnowledgeBaseNotFound
from phaseflow.domain.new_document import BUILT_IN
from phaseflow.flow import PhaseFlow
from phaseflow.integrations.backend import Backend

_Scored = list[tuple[Document, float]]
TOGETHER = 50
"""Texts pushed by one call."""


class PhaseflowVectorStore(VectorStore):
    """A knowledge base as a vector store; an unknown one is created with the first texts.

    It cuts and embeds by itself: a document found is a passage, with the id and the metadata of the text it is part of.
    ``add_texts`` returns when all are searchable, at most after ``wait_s`` (TransientError). Ids are uris. Metadata are
    texts, numbers, booleans and lists of texts; names that every document has, such as ``source``, are kept as
    ``source_`` and given back as they came. Scores are from 0 to 1, the best has the highest.
    """

    def __init__(
        self,
        *,
        kb_id: str,
        flow: PhaseFlow | None = None,
        client: Client | SyncClient | None = None,
        wait_s: float = 60.0,
    ) -> None:
        self._backend = Backend(kb_id, flow, client)
        self._wait_s = wait_s

    def add_texts(
        self, texts: Iterable[str], metadatas: list[dict[str, Any]] | None = None, *,
        ids: Sequence[str | None] | None = None, **_: Any,
    ) -> list[str]:  # fmt: skip
        return self._backend.run(partial(self._add, list(texts), metadatas, ids))

    async def aadd_texts(
        self, texts: Iterable[str], metadatas: list[dict[str, Any]] | None = None, *,
        ids: Sequence[str | None] | None = None, **_: Any,
    ) -> list[str]:  # fmt: skip
        return await self._backend.arun(partial(self._add, list(texts), metadatas, ids))

    def delete(self, ids: list[str] | None = None, **_: Any) -> bool:
        return self._backend.run(partial(self._delete, ids))

    async def adelete(self, ids: list[str] | None = None, **_: Any) -> bool:
        return await self._backend.arun(partial(self._delete, ids))

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        return self._backend.run(partial(self._get, ids))

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        return await self._backend.arun(partial(self._get, ids))

    def similarity_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k, **options)]

    async def asimilarity_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, **options)]

    def similarity_search_with_score(self, query: str, k: int = 4, filter: Any = None, **_: Any) -> _Scored:
        return self._backend.run(partial(self._search, query, k, filter))

    async def asimilarity_search_with_score(self, query: str, k: int = 4, filter: Any = None, **_: Any) -> _Scored:
        return await self._backend.arun(partial(self._search, query, k, filter))

    def _select_relevance_score_fn(self) -> Any:
        return float

    @classmethod
    def from_texts(
        cls, texts: list[str], embedding: Embeddings | None = None, metadatas: list[dict[str, Any]] | None = None, *,
        ids: list[str] | None = None, **options: Any,
    ) -> Self:  # fmt: skip
        """``options`` are those of the constructor. The knowledge base has an embedder of its own."""
        made = cls(**options)
        made.add_texts(texts, metadatas, ids=ids)
        return made

    async def _add(self, texts: list[str], metadatas: Any, ids: Sequence[str | None] | None) -> list[str]:
        given = [id_ or uuid.uuid4().hex for id_ in ids or [None] * len(texts)]
        said: list[dict[str, Any]] = [{} for _ in texts] if metadatas is None else metadatas
        new = [
            {"uri": uri, "text": text, "media_type": "text/plain", "metadata": _kept(metadata)}
            for uri, text, metadata in zip(given, texts, said, strict=True)
        ]
        for first in range(0, len(new), TOGETHER):
            await self._backend.ask("add", new[first : first + TOGETHER])
        for uri in given:
            await self._backend.searchable(uri, self._wait_s)
        return given

    async def _delete(self, ids: list[str] | None) -> bool:
        if ids is None:
            raise InvalidRequest("ids", "name the documents; a whole knowledge base is deleted by delete_kb")
        for uri in ids:
            with suppress(DocumentNotFound, KnowledgeBaseNotFound):
                await self._backend.ask("delete_document", uri)
        return True

    async def _get(self, ids: Sequence[str]) -> list[Document]:
        found = []
        for uri in ids:
            with suppress(DocumentNotFound, KnowledgeBaseNotFound):
                metadata = (await self._backend.ask("document", uri)).metadata
                found.append(Document(await self._backend.ask("document_text", uri), id=uri, metadata=_given(metadata)))
        return found

    async def _search(self, query: str, k: int, filter: Any) -> _Scored:
        try:
            hits = await self._backend.ask("search", query, k, filter=filter)
        except KnowledgeBaseNotFound:
            return []
        return [
            (Document(hit.text, id=hit.uri, metadata=_given(hit.metadata) | Backend.said(hits)), hit.score)
            for hit in hits
        ]


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    return {f"{key}_" if key in BUILT_IN else key: value for key, value in metadata.items()}


def _given(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key[:-1] if key[:-1] in BUILT_IN and key.endswith("_") else key: value for key, value in metadata.items()}
