"""LlamaIndex: its ingestion pipeline with a document store, so that unchanged documents are left out.

`upserts_and_delete` is its strategy that also removes what is gone from the folder. Its stores are in memory; they are
read from files before and written to them after, by their own `persist`.
"""

from pathlib import Path

from llama_index.core import SimpleDirectoryReader
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore
from measured import OVERLAP, SIZE, Saving, Vectors, measured
from pydantic import PrivateAttr


class Embedder(BaseEmbedding):
    _vectors: Vectors = PrivateAttr()

    def __init__(self, vectors: Vectors) -> None:
        super().__init__(model_name="benchmark", embed_batch_size=64)
        self._vectors = vectors

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vectors([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._vectors(texts)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vectors([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._vectors([query])[0]


def ingest(folder: Path, state: Path, vectors: Vectors) -> dict:
    saving, persisted, stored = Saving(), state / "pipeline", state / "vectors.json"
    with saving:
        store = SimpleVectorStore.from_persist_path(str(stored)) if stored.exists() else SimpleVectorStore()
    pipeline = IngestionPipeline(
        # `list` counts characters; its own tokenizer counts tokens.
        transformations=[
            SentenceSplitter(chunk_size=SIZE, chunk_overlap=OVERLAP, tokenizer=list),
            Embedder(vectors),
        ],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        vector_store=store,
    )
    with saving:
        if persisted.exists():
            pipeline.load(str(persisted))
    reader = SimpleDirectoryReader(str(folder), recursive=True, filename_as_id=True, required_exts=[".md"])
    pipeline.run(documents=reader.load_data())
    with saving:
        pipeline.persist(str(persisted))
        store.persist(str(stored))
    return {"passages": len(store.data.embedding_dict), "saving_s": saving.seconds}


if __name__ == "__main__":
    measured(ingest)
