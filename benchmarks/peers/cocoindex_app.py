"""CocoIndex: an app that declares a row of SQLite for each passage, with the work on a file remembered.

The vectors are blobs: its type of vector needs an SQLite that loads extensions, which not every Python has.
"""

import os
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ["COCOINDEX_DB"] = str(Path(sys.argv[2]) / "cocoindex")

import cocoindex as coco
import numpy as np
from cocoindex.connectors import localfs, sqlite
from cocoindex.ops.text import RecursiveSplitter
from cocoindex.resources.chunk import Chunk
from cocoindex.resources.file import FileLike, PatternFilePathMatcher
from cocoindex.resources.id import IdGenerator
from measured import OVERLAP, SIZE, Vectors, measured

DATABASE = coco.ContextKey[sqlite.ManagedConnection]("benchmark")
PLACE = Path(sys.argv[2]) / "index.db"
splitter = RecursiveSplitter()
counted: list[Vectors] = []


@coco.lifespan
def lifespan(builder: coco.EnvironmentBuilder) -> Iterator[None]:
    with sqlite.managed_connection(PLACE, load_vec=False) as connection:
        builder.provide(DATABASE, connection)
        yield


@dataclass
class Passage:
    id: int
    file: str
    start: int
    stop: int
    text: str
    vector: bytes


@coco.fn.as_async(batching=True, max_batch_size=64)
def embed(texts: list[str]) -> list[bytes]:
    return [np.asarray(vector, np.float32).tobytes() for vector in counted[0](texts)]


@coco.fn
async def process_passage(chunk: Chunk, file: str, ids: IdGenerator, table: sqlite.TableTarget[Passage]) -> None:
    row = Passage(
        id=await ids.next_id(chunk.text),
        file=file,
        start=chunk.start.char_offset,
        stop=chunk.end.char_offset,
        text=chunk.text,
        vector=await embed(chunk.text),
    )
    table.declare_row(row=row)


@coco.fn(memo=True)
async def process_file(file: FileLike, table: sqlite.TableTarget[Passage]) -> None:
    text = await file.read_text()
    chunks = splitter.split(text, chunk_size=SIZE, chunk_overlap=OVERLAP, language="markdown")
    await coco.map(process_passage, chunks, str(file.file_path.path), IdGenerator(), table)


@coco.fn
async def whole(folder: Path) -> None:
    schema = await sqlite.TableSchema.from_class(Passage, primary_key=["file", "id"])
    table = await sqlite.mount_table_target(DATABASE, "passages", schema)
    matcher = PatternFilePathMatcher(included_patterns=["**/*.md"])
    files = localfs.walk_dir(folder, recursive=True, path_matcher=matcher)
    await coco.mount_each(process_file, files.items(), table)


def ingest(folder: Path, state: Path, vectors: Vectors) -> dict:
    counted.append(vectors)
    coco.App(coco.AppConfig(name="benchmark"), whole, folder=folder).update_blocking()
    with sqlite3.connect(PLACE) as connection:
        return {"passages": connection.execute("SELECT count(*) FROM passages").fetchone()[0]}


if __name__ == "__main__":
    measured(ingest)
