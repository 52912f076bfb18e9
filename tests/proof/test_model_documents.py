"""Random pushes, verbs on documents and changes of sources, among the verbs, faults and crashes of the other model.

After each step the documents by status are what their list says, and those that are searchable are what the index
holds. At the end search sees what the sources hold and what was pushed, but for what was skipped, and nothing was paid
twice.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from phaseflow import FolderSource, JobStatus, PhaseFlow
from phaseflow.components.protocols import Entry, Loader
from phaseflow.components.sources.changed_files import ChangedFiles
from phaseflow.domain.documents import DocumentInfo
from phaseflow.domain.errors import ComponentUnavailable, DocumentNotFound, HeldBySource, InvalidRequest, JobConflict
from phaseflow.domain.status import DocumentCounts, SearchHit
from phaseflow.domain.vocabulary import Action, DocumentStatus
from phaseflow.flow.inputs import Source
from phaseflow.store import document_counts
from phaseflow.store.document_status import View, Wanted
from phaseflow.store.knowledge_bases import KnowledgeBases
from phaseflow.store.transaction import Transaction
from tests.engine.components import write_folder
from tests.matrices import first_of_each
from tests.proof import outcome
from tests.proof.pieces import PieceOfLoader
from tests.proof.test_model import POLICIES, UNSHRUNK, Engine, impatient, nothing_is_left
from tests.proof.victim import SETTINGS
from tests.store.probes import select, until_removed

__all__ = ["impatient", "nothing_is_left"]  # the same fixtures

NAMES = st.sampled_from([f"p{number}" for number in range(6)])
ANY = st.one_of(
    NAMES,
    st.sampled_from([f"doc{number:03}.md" for number in range(4)]),
    st.just("other/doc000.md"),
    st.just("nothing"),
)
COUNTS_OF_VERSIONS = ("chunking", "embedding", "indexing")
"""What a verb takes out has been counted by these; its rows are gone."""


_IN_HAND = (
    "SELECT count(*) FROM documents AS d WHERE d.job_seq = j.seq AND d.state = 1",
    "SELECT count(c.id) FROM documents AS d JOIN chunks AS c ON c.id >= d.id << 20 AND c.id < (d.id + 1) << 20"
    " WHERE d.job_seq = j.seq AND d.state = 2 AND c.vector_id IS NULL",
    "SELECT coalesce(sum(d.chunk_count), 0) FROM documents AS d WHERE d.job_seq = j.seq AND d.state = 3",
)
_LEFT_AND_IN_HAND = (
    "SELECT * FROM (SELECT p.phase_name, p.items_available - p.items_processed - p.items_failed AS has_left,"
    f" CASE p.phase_name WHEN 'chunking' THEN ({_IN_HAND[0]}) WHEN 'embedding' THEN ({_IN_HAND[1]})"
    f" ELSE ({_IN_HAND[2]}) END AS in_hand FROM ingestion_jobs AS j JOIN ingestion_phase_status AS p ON p.job_id = j.id"
    " WHERE p.phase_name <> 'loading' AND j.cancelled_at IS NULL AND j.seq ="
    "  (SELECT max(n.seq) FROM ingestion_jobs AS n WHERE n.kb_id = j.kb_id)) WHERE has_left <> in_hand"
)
"""Of the newest job, the phases whose counts leave something else to be done than their rows do."""


class DownLoader(PieceOfLoader):
    """A source that can be down."""

    is_down = False

    async def list(self) -> AsyncIterator[Sequence[Entry]]:
        if self.is_down:
            raise ComponentUnavailable("told to be down")
        async for page in super().list():
            yield page


class Documents(Engine):
    """The same with a second source, documents that are pushed, and verbs on all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.other_folder = write_folder(self.root / "other", 3, words=40)
        self.other = self.portal.call(self._other)
        self.pushed: dict[str, str] = {}
        self.metadata: dict[str, dict[str, int]] = {}
        self.skipped: set[str] = set()
        self.taken_out = False
        self._pushes = 0

    @rule(name=NAMES, twice=st.booleans(), same=st.booleans())
    def push(self, name: str, twice: bool, same: bool) -> None:
        self._pushes += 1
        text = self.pushed[name] if same and name in self.pushed else f"pushed{self._pushes} " * 30
        first = [{"uri": name, "text": f"first{self._pushes}"}] if twice else []
        self.call(lambda: self.flow.add("kb", [*first, {"uri": name, "text": text}]))
        self.pushed[name] = text

    def _takes(self, name: str, ask: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """Ask for something of a document; False when a job has found meanwhile that its source has it no more."""
        try:
            self.call(ask)
        except DocumentNotFound:
            assert not self._known(name)
            assert name not in self.pushed
            return False
        return True

    @rule(name=ANY)
    def retry_document(self, name: str) -> None:
        if self._known(name) and self._takes(name, lambda: self.flow.retry_document("kb", name)):
            self.skipped.discard(name)

    @rule(name=ANY)
    def skip_document(self, name: str) -> None:
        if self._known(name):
            waiting = outcome.waited_for(self.database, name)
            if self._takes(name, lambda: self.flow.skip_document("kb", name)):
                self.embedder.unwanted |= waiting
                self.skipped.add(name)
                self.taken_out = True

    @rule(name=ANY)
    def delete_document(self, name: str) -> None:
        if not self._known(name):
            return
        waiting = outcome.waited_for(self.database, name)
        try:
            if not self._takes(name, lambda: self.flow.delete_document("kb", name)):
                return
        except HeldBySource:
            assert name not in self.pushed
            return
        assert name in self.pushed or self._has_lost_its_source(name)
        self.embedder.unwanted |= waiting
        self.taken_out = True
        self.pushed.pop(name, None)
        self.metadata.pop(name, None)
        self.skipped.discard(name)

    @rule(name=ANY, number=st.integers(0, 9))
    def set_metadata(self, name: str, number: int) -> None:
        given = {"number": number}
        is_taken = self._known(name) and self._takes(name, lambda: self.flow.set_metadata("kb", name, given))
        if is_taken and name in self.pushed:
            self.metadata[name] = given

    @rule(words=st.sampled_from(["pushed1", "first1", "Document", "word1x1"]))
    def search(self, words: str) -> None:
        """Whatever goes on, what a search finds is searchable, whole, and says what was looked for."""
        if not select(self.database, "SELECT 1 FROM knowledge_bases"):
            return
        hits, live = self.call(partial(self._search, words))
        for hit in hits:
            assert hit.uri in live
            assert hit.text.strip()
        assert {hit.uri for hit in hits}.isdisjoint(self.skipped)

    @rule(number=st.integers(0, 3), only=st.booleans())
    def be_in_step(self, number: int, only: bool) -> None:
        """A run is due, of all sources or one; or a file was changed and is read alone, as a watch asks for it."""
        if not select(self.database, "SELECT 1 FROM knowledge_bases WHERE sources IS NOT NULL"):
            return
        starting = self.flow._starting
        if number == 0:
            try:
                self.call(lambda: starting.start_in_step("kb", ["default"] if only else None))
            except (JobConflict, ComponentUnavailable, InvalidRequest):
                return
            return
        path = self.folder / f"doc{number:03}.md"
        if path.exists():
            self._pushes += 1
            path.write_text(f"# Edited {self._pushes}\n\nedited{self._pushes}\n", encoding="utf-8")
            changed = ChangedFiles(uris=frozenset([path.name]))
            self.call(lambda: starting.ask_in_step("kb", {"default": changed}))

    async def _search(self, words: str) -> tuple[Sequence[SearchHit], set[str]]:
        before = (await self.flow._engine.read(_look))[2]
        hits = await self.flow.search("kb", words, limit=100, mode="words")
        return hits, before | (await self.flow._engine.read(_look))[2]

    @rule(down=st.booleans())
    def bring_down(self, down: bool) -> None:
        self.other.is_down = down

    @rule(is_down=st.sampled_from([True, True, False]), trouble=st.sampled_from([None, None, "document"]))
    def change_embedder(self, is_down: bool, trouble: str | None) -> None:
        """A job that makes the index anew, as far as sources and documents let it, and carries the rest over."""
        if self.status() is None:
            return
        self.other.is_down = False
        for piece in (self.embedder, self.loader, self.other):
            piece.trouble = None
            self.portal.call(piece.open)
        self.call(self._go_on)
        self._close()
        self.embedder.fingerprint = "other" if self.embedder.fingerprint == "piece" else "piece"
        self._open(auto_resume=True)
        self.other.is_down, self.loader.trouble = is_down, trouble
        self.start_sources(only=False)

    @rule(only=st.booleans())
    def start_sources(self, only: bool) -> None:
        sources = {"other": self.other_folder} if only else {"default": self.folder, "other": self.other_folder}
        try:
            self.call(lambda: self.flow.start("kb", sources=sources, settings=SETTINGS, allow_deletes=True))
        except JobConflict as conflict:
            self._check_refusal(conflict, Action.START)

    @invariant()
    def the_file_does_not_contradict_itself(self) -> None:
        if not (self.database.exists() and hasattr(self, "flow")):
            return
        found = outcome.violations(self.database)
        if self.taken_out:
            found = [each for each in found if not (each.startswith(COUNTS_OF_VERSIONS) and " its rows are " in each)]
        assert found == []

    @invariant()
    def what_a_phase_has_to_do_is_what_it_has_in_hand(self) -> None:
        """Also of documents that were skipped or deleted: nothing of them is left to be done, or paid for."""
        if self.database.exists() and hasattr(self, "flow"):
            assert select(self.database, _LEFT_AND_IN_HAND) == []

    @invariant()
    def a_document_has_one_status(self) -> None:
        if hasattr(self, "flow"):
            counts, listed, live = self.call(lambda: self.flow._engine.read(_look))
            assert Counter(one.status for one in listed[None]) == Counter(counts.model_dump())
            for status in DocumentStatus:
                assert listed[status] == [one for one in listed[None] if one.status is status]
            assert {one.uri for one in listed[None] if one.searchable} == live

    def _has_lost_its_source(self, name: str) -> bool:
        """The knowledge base has it no more, and what the source has brought stays until a job takes it out."""
        source = "other" if name.startswith("other/") else "default"
        return not select(
            self.database,
            f"SELECT 1 FROM knowledge_bases AS k, json_each(k.sources) AS s WHERE s.key = '{source}'"
            " AND s.value ->> '$.type' <> 'upload'",
        )

    def _known(self, name: str) -> bool:
        if not select(self.database, "SELECT 1 FROM knowledge_bases"):
            return False
        try:
            self.call(lambda: self.flow.document("kb", name))
        except DocumentNotFound:
            return False
        return True

    def _bring_to_an_end(self) -> None:
        self.other.is_down = False
        for piece in (self.embedder, self.loader, self.other):
            piece.trouble = None
            self.portal.call(piece.open)
        if self.status() is not None:
            self.call(self._go_on)
        self.call(self._once_more_with_all)
        self.call(lambda: until_removed(self.flow._engine.hub.database))
        assert outcome.leftovers(self.database) == 0
        self.the_file_does_not_contradict_itself()
        seen = {uri: found.content_hash for uri, found in outcome.searchable(self.database).items()}
        assert seen == self._expected()
        for name, said in self.metadata.items():
            assert self.call(partial(self.flow.document, "kb", name)).metadata == said
        assert self.embedder.paid_again == []
        assert self.embedder.paid_in_vain == []

    def _expected(self) -> dict[str, str]:
        held = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        held |= {f"other/{path.name}": path.read_bytes() for path in self.other_folder.iterdir()}
        held |= {name: text.encode() for name, text in self.pushed.items()}
        wanted = {uri: data for uri, data in held.items() if uri not in self.skipped}
        return {uri: hashlib.blake2b(data, digest_size=16).hexdigest() for uri, data in wanted.items()}

    async def _once_more_with_all(self) -> None:
        sources = {"default": self.folder, "other": self.other_folder}
        job = await self.flow.start("kb", sources=sources, settings=SETTINGS, allow_deletes=True)
        while True:
            final = await job.wait()
            assert final.status is JobStatus.COMPLETED, final.error
            following = await self.flow.next_job(job)
            if following is None:
                return
            job = following

    async def _other(self) -> DownLoader:
        return DownLoader(self.other_folder)

    def _loader_for(self, source: Source) -> Loader:
        assert isinstance(source, FolderSource)
        return self.other if Path(source.path) == self.other_folder else self.loader

    def _open(self, *, auto_resume: bool) -> None:
        self.flow = PhaseFlow(
            self.database, loader=self._loader_for, embedder=self.embedder, policies=POLICIES, auto_resume=auto_resume
        )
        self._flow_context = self.portal.wrap_async_context_manager(self.flow)
        self._flow_context.__enter__()


Listed = dict[DocumentStatus | None, list[DocumentInfo]]


def _look(tx: Transaction) -> tuple[DocumentCounts, Listed, set[str]]:
    """The counts, the lists by status (None: of all), and the uris that the index holds: of one moment."""
    kb = KnowledgeBases(tx).find("kb")
    if kb is None:
        return DocumentCounts(), {status: [] for status in (None, *DocumentStatus)}, set()
    seen = View.now(tx, kb.key, kb.index_version)
    listed = {status: seen.page(tx, Wanted(status), 1000)[0] for status in (None, *DocumentStatus)}
    rows = tx.rows(
        "SELECT uri FROM documents WHERE kb_id = ? AND index_version = ? AND state = 4", kb.key, kb.index_version
    )
    return document_counts.counts(tx, seen), listed, {row[0] for row in rows}


@pytest.mark.parametrize("examples", first_of_each([2, 10]))
def test_no_sequence_of_pushes_and_verbs_on_documents_breaks_the_invariants(examples: int) -> None:
    run_state_machine_as_test(
        Documents,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, derandomize=True, database=None,
            phases=UNSHRUNK, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.slow
def test_no_long_sequence_of_them_breaks_the_invariants_either() -> None:
    run_state_machine_as_test(
        Documents,
        settings=settings(
            max_examples=200, stateful_step_count=50, deadline=None, database=None,
            phases=UNSHRUNK, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
