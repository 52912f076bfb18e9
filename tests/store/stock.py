"""Knowledge bases, jobs and documents to fill a file with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from phaseflow.domain.ingestion import IngestionState
from phaseflow.domain.settings import Settings
from phaseflow.store import passages
from phaseflow.store.catalogue import Catalogue
from phaseflow.store.database import Database
from phaseflow.store.documents import StagedDocument, StagedDocuments, Target, text_hash
from phaseflow.store.jobs import JobRecord, Jobs
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.leftovers import Leftovers
from phaseflow.store.loaded_text import LoadedText
from phaseflow.store.passages import Scope, SearchablePassages
from phaseflow.store.progress import Attempt
from phaseflow.store.states import DocumentState
from phaseflow.store.transaction import Transaction
from phaseflow.store.vectors import Model, ModelVectors

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 20
"""Characters of a passage."""


@dataclass(frozen=True)
class Stock:
    """A knowledge base with a job whose phases all run."""

    database: Database
    kb_id: str
    job_id: str
    seq: int
    index_version: int = 1
    key: str = "kb~1"

    @property
    def target(self) -> Target:
        return Target(self.seq, self.key, self.index_version, "recipe")

    @property
    def scope(self) -> Scope:
        return Scope(self.key, self.index_version)

    @property
    def attempt(self) -> Attempt:
        return Attempt(self.job_id, self.seq, self.kb_id, 1)

    async def record(self) -> JobRecord:
        return await self.database.read(lambda tx: Jobs(tx).record(self.job_id))

    async def load(self, *texts: tuple[str, str]) -> list[StagedDocument]:
        """Documents from (uri, text)."""
        loaded = [
            LoadedText(0, uri, uri.upper(), "text/plain", text_hash(text).hex(), None, text) for uri, text in texts
        ]
        return await self.database.write(lambda tx: StagedDocuments(tx).add(self.target, loaded, NOW))

    async def note(self, *uris: str) -> None:
        """Know documents."""
        await self.database.write(lambda tx: Catalogue(tx, self.key).note("default", uris, NOW))

    async def publish(self, *texts: tuple[str, str]) -> list[StagedDocument]:
        """The whole way of documents, in one transaction a phase."""
        staged = [cut(document) for document in await self.load(*texts)]
        await self.database.write(lambda tx: StagedDocuments(tx).cut(staged, NOW))
        await self.database.write(lambda tx: embed(tx, staged))
        await self.database.write(lambda tx: publish(tx, self.scope, staged))
        return staged


async def stock(database: Database, kb_id: str = "kb", job_id: str = "job", index_version: int = 1) -> Stock:
    """A knowledge base, new or there already, with a new running job."""
    await database.write(partial(create, kb_id=kb_id, job_id=job_id))
    seq = await database.read(lambda tx: Jobs(tx).record(job_id).seq)
    key = await database.read(lambda tx: KnowledgeBases(tx).get(kb_id).key)
    return Stock(database, kb_id, job_id, seq, index_version, key)


def create(tx: Transaction, kb_id: str, job_id: str) -> None:
    if KnowledgeBases(tx).find(kb_id) is None:
        KnowledgeBases(tx).put(kb_id, None, Settings().model_dump_json(), NOW)
    state = IngestionState(job_id, kb_id)
    Jobs(tx).create(state, sources=None, settings="{}", full=False, at=NOW)
    Jobs(tx).begin_attempt(job_id)
    Jobs(tx).save(state, state.each(lambda p: p.start(NOW)), reason=None, at=NOW)


def cut(document: StagedDocument) -> StagedDocument:
    """With passages of a fixed size."""
    spans = [(n, min(n + SIZE, len(document.text))) for n in range(0, len(document.text), SIZE)]
    hashes = [text_hash(document.text[a:b]) for a, b in spans]
    return replace(document, spans=spans, hashes=hashes, embedded=[False] * len(spans))


def embed(tx: Transaction, staged: Sequence[StagedDocument], model: str = "m") -> None:
    """A vector of two numbers for each passage."""
    number = Model(tx, model).number()
    hashes = list(dict.fromkeys(h for document in staged for h in document.hashes))
    ModelVectors(tx, number).add(hashes, [h[:8] for h in hashes])
    ModelVectors(tx, number).attach([d.chunk_id(n) for d in staged for n in range(len(d.spans))])
    StagedDocuments(tx).move([d.id for d in staged], DocumentState.CHUNKED, DocumentState.EMBEDDED, NOW)


def publish(tx: Transaction, scope: Scope, staged: Sequence[StagedDocument]) -> None:
    """Embedded documents become searchable."""
    for document in staged:
        SearchablePassages(tx, scope).index(passages.packed(document))
    SearchablePassages(tx, scope).publish(staged, NOW)


async def clean(database: Database) -> None:
    """Let the janitor's work be done."""
    while await database.write(lambda tx: Leftovers(tx).remove_some()):
        pass
