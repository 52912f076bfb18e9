"""Haystack: an indexing pipeline of cache checker, converter, splitter, embedder and writer, with its store in memory.

The cache checker is its way not to index a file again. The store is read from a file before and written to it after,
by its own `load_from_disk` and `save_to_disk`.
"""

from dataclasses import replace
from pathlib import Path

from haystack import Document, Pipeline, component
from haystack.components.caching import CacheChecker
from haystack.components.converters import TextFileToDocument
from haystack.components.preprocessors import RecursiveDocumentSplitter
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from measured import OVERLAP, SIZE, Saving, Vectors, measured


@component
class Embedder:
    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict:
        embedded = []
        for start in range(0, len(documents), 64):
            batch = documents[start : start + 64]
            vectors = self.vectors([document.content or "" for document in batch])
            embedded += [replace(d, embedding=vector) for d, vector in zip(batch, vectors, strict=True)]
        return {"documents": embedded}


def ingest(folder: Path, state: Path, vectors: Vectors) -> dict:
    saving, saved = Saving(), state / "store.json"
    with saving:
        store = InMemoryDocumentStore.load_from_disk(str(saved)) if saved.exists() else InMemoryDocumentStore()
    # The misses of the checker are of no declared type.
    pipeline = Pipeline(connection_type_validation=False)
    pipeline.add_component("checker", CacheChecker(document_store=store, cache_field="meta.file_path"))
    pipeline.add_component("converter", TextFileToDocument(store_full_path=True))
    splitter = RecursiveDocumentSplitter(
        split_length=SIZE, split_overlap=OVERLAP, split_unit="char", separators=["\n\n", "\n", " "]
    )
    pipeline.add_component("splitter", splitter)
    pipeline.add_component("embedder", Embedder(vectors))
    pipeline.add_component("writer", DocumentWriter(document_store=store, policy=DuplicatePolicy.SKIP))
    pipeline.connect("checker.misses", "converter.sources")
    pipeline.connect("converter", "splitter")
    pipeline.connect("splitter", "embedder")
    pipeline.connect("embedder", "writer")
    pipeline.run({"checker": {"items": [str(file) for file in sorted(folder.rglob("*.md"))]}})
    with saving:
        store.save_to_disk(str(saved))
    return {"passages": store.count_documents(), "saving_s": saving.seconds}


if __name__ == "__main__":
    measured(ingest)
