"""LangChain: loader, splitter and `index` with a record manager in SQLite, over its vector store in memory.

`cleanup="full"` is its mode that also removes what is gone from the folder. The store is read from a file before and
written to it after, by its own `load` and `dump`.
"""

from pathlib import Path

from langchain_classic.indexes import SQLRecordManager
from langchain_community.document_loaders import DirectoryLoader, TextLoader
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter
from measured import OVERLAP, SIZE, Saving, Vectors, measured


class Embedder(Embeddings):
    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.vectors(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.vectors([text])[0]


def ingest(folder: Path, state: Path, vectors: Vectors) -> dict:
    saving, dumped = Saving(), state / "store.json"
    with saving:
        embedder = Embedder(vectors)
        store = InMemoryVectorStore.load(str(dumped), embedder) if dumped.exists() else InMemoryVectorStore(embedder)
    records = SQLRecordManager("benchmark", db_url=f"sqlite:///{state / 'records.db'}")
    records.create_schema()
    loader = DirectoryLoader(str(folder), glob="**/*.md", loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"})
    splitter = RecursiveCharacterTextSplitter(chunk_size=SIZE, chunk_overlap=OVERLAP)
    passages = splitter.split_documents(loader.load())
    index(passages, records, store, cleanup="full", source_id_key="source", key_encoder="blake2b")
    with saving:
        store.dump(str(dumped))
    return {"passages": len(store.store), "saving_s": saving.seconds}


if __name__ == "__main__":
    measured(ingest)
