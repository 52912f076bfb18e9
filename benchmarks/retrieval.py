"""How well search ranks: nDCG@10 on documents with questions and judgements, beside plain BM25 over whole documents.

python -m benchmarks retrieval FOLDER [--limit N] [--mode MODE …]

FOLDER holds the documents, as files in ``docs`` (their names without the ending are their ids) or as lines
``{"_id", "title", "text"}`` of ``corpus.jsonl``; the questions, as lines ``{"_id", "text"}`` (or ``id``) of
``queries.jsonl``; and the judgements, as lines ``question, document, relevance`` with tabs between them, in
``qrels.tsv`` or ``qrels/test.tsv``.
"""

import argparse
import asyncio
import json
import math
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from phaseflow import PhaseFlow, SearchMode

DEPTH = 10


@dataclass(frozen=True)
class Collection:
    """Documents by id, questions by id, and how relevant which document is to each question."""

    documents: dict[str, str]
    questions: dict[str, str]
    judgements: dict[str, dict[str, float]]


def collection(folder: Path) -> Collection:
    """Read a folder."""
    documents = (
        {path.stem: path.read_text("utf-8") for path in sorted((folder / "docs").iterdir())}
        if (folder / "docs").is_dir()
        else {row["_id"]: f"{row['title']}\n\n{row['text']}" for row in _lines(folder / "corpus.jsonl")}
    )
    judged: dict[str, dict[str, float]] = {}
    qrels = folder / "qrels.tsv"
    for line in (qrels if qrels.exists() else folder / "qrels" / "test.tsv").read_text("utf-8").splitlines():
        question, document, relevance, *_ = line.split("\t")
        if re.fullmatch(r"-?\d+(\.\d+)?", relevance):  # else it is the head row
            judged.setdefault(question, {})[document] = float(relevance)
    asked = {str(row.get("_id", row.get("id"))): str(row["text"]) for row in _lines(folder / "queries.jsonl")}
    return Collection(documents, {key: text for key, text in asked.items() if key in judged}, judged)


def _lines(path: Path) -> Iterable[dict[str, str]]:
    return (json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip())


def ndcg(ranked: Sequence[str], relevance: dict[str, float]) -> float:
    """nDCG@10 with linear gains."""
    best = sorted(relevance.values(), reverse=True)[:DEPTH]
    gains = [relevance.get(document, 0.0) for document in ranked[:DEPTH]]
    ideal = _discounted(best)
    return _discounted(gains) / ideal if ideal else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 2) for rank, gain in enumerate(gains))


def plain_bm25(made: Collection) -> float:
    """The mean nDCG@10 of FTS5's own ranking of whole documents."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE VIRTUAL TABLE d USING fts5 (t, tokenize = 'porter unicode61 remove_diacritics 2')")
        ids = list(made.documents)
        connection.executemany("INSERT INTO d (rowid, t) VALUES (?, ?)", list(enumerate(made.documents.values())))
        scores = []
        for key, question in made.questions.items():
            query = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", question))
            rows = connection.execute("SELECT rowid FROM d WHERE d MATCH ? ORDER BY rank LIMIT 10", (query,)).fetchall()
            scores.append(ndcg([ids[row[0]] for row in rows], made.judgements[key]))
    return sum(scores) / len(scores)


async def measured(flow: PhaseFlow, made: Collection, mode: SearchMode, limit: int) -> tuple[float, float]:
    """(mean nDCG@10 of the documents of the hits, milliseconds a search)."""
    scores = []
    begun = time.perf_counter()
    for key, question in made.questions.items():
        hits = await flow.search("kb", question[:2000], limit=limit, mode=mode)
        ranked = list(dict.fromkeys(Path(hit.uri).stem for hit in hits))
        scores.append(ndcg(ranked, made.judgements[key]))
    return sum(scores) / len(scores), (time.perf_counter() - begun) * 1000 / len(scores)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks retrieval")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=30, help="hits a search is asked for; their documents are ranked")
    parser.add_argument("--mode", action="append", choices=list(SearchMode), default=None)
    options = parser.parse_args()
    made = collection(options.folder)
    print(f"{len(made.documents)} documents, {len(made.questions)} questions")
    print(f"{'plain BM25, whole documents':30} nDCG@10 {plain_bm25(made):.4f}")
    with tempfile.TemporaryDirectory() as name:
        docs = Path(name) / "docs"
        docs.mkdir()
        for key, text in made.documents.items():
            (docs / f"{key}.txt").write_text(text, "utf-8")
        async with PhaseFlow(Path(name) / "kb.db") as flow:
            job = await flow.start("kb", docs)
            await job.wait()
            for mode in options.mode or list(SearchMode):
                score, ms = await measured(flow, made, SearchMode(mode), options.limit)
                print(f"{f'phaseflow, {mode}':30} nDCG@10 {score:.4f}  {ms:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
