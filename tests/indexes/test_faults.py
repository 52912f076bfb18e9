"""Random verbs, with an index that fails at random: what can be found is always what the documents say."""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from phaseflow import FolderSource, NewDocument, PhaseFlow
from phaseflow.actors import index_delivery, indexing
from phaseflow.components.indexes import IndexDocument, losses
from phaseflow.domain.errors import DocumentError, IndexUnavailable, KnowledgeBaseNotFound, PhaseflowError
from phaseflow.flow import outside_index, searching
from phaseflow.flow.job import Job
from phaseflow.supervisor import index_keeper
from tests.engine.components import CountingEmbedder
from tests.indexes.file_index import CountingFileIndex
from tests.matrices import first_of_each
from tests.stopwatch import NEVER_S, fail_soon

VERBS = (
    "write", "remove", "run", "push", "skip", "cancel", "pause", "restart", "delete", "search",
    "lose", "move", "rewind",
)  # fmt: skip


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "SEARCH_S", NEVER_S)  # a search that says "search again" says it for want of time
        patch.setattr(outside_index, "LEAST_COMPARED_S", NEVER_S)
        patch.setattr(losses, "COUNT_S", 0.0)  # each search counts anew: what was lost since is seen at once
        patch.setattr(indexing, "FIRST_WAIT_S", 0.01)
        patch.setattr(index_delivery, "REST_S", 0.05)
        patch.setattr(index_keeper, "LOOK_S", 0.02)
        patch.setattr(index_keeper, "LONGEST_WAIT_S", 0.05)
        yield


class Faulty(CountingFileIndex):
    """Fails some calls, before or after they have done their work. ``share`` 0: none.

    Whether the n-th call of a kind fails, and how, follows from ``seed`` alone: in whatever order the engine's tasks
    come to make their calls, a story is told again as it was.
    """

    def __init__(self, path: Path, seed: int) -> None:
        super().__init__(path)
        self._seed = seed
        self._made = Counter[str]()
        self._called = anyio.Event()
        self.share = 0.2

    def _chance(self, call: str) -> random.Random:
        self._made[call] += 1
        return random.Random(f"{self._seed} {call} {self._made[call]}")  # noqa: S311  # no secret

    async def _begin(self, call: str, documents: Sequence[IndexDocument] = ()) -> None:
        await super()._begin(call, documents)
        self._called.set()
        self._called = anyio.Event()
        chance = self._chance(call)
        if chance.random() < self.share:
            raise chance.choice([IndexUnavailable("down"), ConnectionResetError("gone"), DocumentError("no")])

    async def until_put(self, times: int) -> None:
        """Return once ``put`` was called so many times, since it was made."""
        while self.calls["put"] < times:
            await self._called.wait()

    def lose(self, share: float) -> None:
        """Somebody else removes rows."""
        with closing(self._connect()) as connection:
            connection.execute("DELETE FROM passages WHERE document % 97 < ?", (97 * share,))

    async def put(self, space, documents):  # type: ignore[no-untyped-def]  # any test's
        await super().put(space, documents)
        if self._chance("after put").random() < self.share:
            raise IndexUnavailable("down after it was done")


async def searchable(flow: PhaseFlow) -> set[str]:
    """What the documents say."""
    return {each.uri for each in (await flow.documents("kb", 1000)).items if each.searchable and each.chunks}


class Story:
    """A knowledge base, what is done to it, and what it must come to."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)  # noqa: S311  # no secret
        self.index = Faulty(folder / "index.db", seed)
        self.embedder = CountingEmbedder()
        self.docs = folder / "docs"
        self.docs.mkdir()
        self.database = folder / "kb.db"
        self.may_lack = False
        """Somebody has removed rows, or the database is older than the index."""
        self.is_inside = False
        """The program gives no index: what stands in the one it gave before cannot be searched."""
        self._write()

    def _write(self) -> None:
        for _ in range(3):
            number = self.chance.randrange(12)
            (self.docs / f"{number}.md").write_text(f"# {number}\n\nall of {self.chance.random()}\n")

    async def tell(self, verbs: Sequence[str]) -> None:
        left = list(verbs)
        while left:
            index = None if self.is_inside else self.index
            async with PhaseFlow(self.database, embedder=self.embedder, index=index) as flow:
                while left and (verb := left.pop(0)) not in {"restart", "move", "rewind"}:
                    await self._do(flow, verb)
            self.is_inside ^= verb == "move"
            if verb == "rewind":
                self._rewind()
        self.index.share, self.is_inside = 0, False
        async with PhaseFlow(self.database, embedder=self.embedder, index=self.index) as flow:
            await self._settle(flow)
            self.may_lack = False
            for name in sorted(path.name for path in self.docs.iterdir())[::2]:
                (self.docs / name).unlink()
            self._write()  # what is gone now was compared before, and only the outbox knows of it
            await self._settle(flow)

    def _rewind(self) -> None:
        """To the copy of the last time, as from a backup; the index stays as it is."""
        kept = self.folder / "kept"
        last = kept.exists()
        if last:
            for path in self.folder.glob("kb.db*"):
                path.unlink()
            for path in kept.iterdir():
                shutil.copy(path, self.folder)
            self.may_lack = True
            self.embedder.paid.clear()  # it does not know what it has paid since
        else:
            kept.mkdir()
            for path in self.folder.glob("kb.db*"):
                shutil.copy(path, kept)

    async def _look(self, flow: PhaseFlow) -> None:
        """A search finds all that is searchable, or says that it cannot."""
        share, self.index.share = self.index.share, 0
        try:
            before = await searchable(flow)
            found = {hit.uri for hit in await flow.search("kb", "all", 100, mode="vectors")}
            if before == await searchable(flow):
                assert found == before
        except IndexUnavailable:
            if not (self.may_lack or self.is_inside):
                raise
        except KnowledgeBaseNotFound:
            return
        finally:
            self.index.share = share

    async def _do(self, flow: PhaseFlow, verb: str) -> None:
        names = sorted(path.name for path in self.docs.iterdir())
        if verb == "search":
            await self._look(flow)
            return
        try:
            if verb == "write":
                self._write()
            elif verb == "remove" and names:
                (self.docs / self.chance.choice(names)).unlink()
            elif verb == "run":
                puts = self.index.calls["put"] + self.chance.randrange(1, 6)
                job = await flow.start("kb", FolderSource(str(self.docs)), allow_deletes=True)
                await self._wait(job, puts)
            elif verb == "push":
                await flow.add("kb", [NewDocument(uri=f"p{(n := self.chance.randrange(3))}", text=f"all of {n}")])
            elif verb == "skip" and names:
                await flow.skip_document("kb", self.chance.choice(names))
            elif verb == "cancel":
                await flow.cancel("kb")
            elif verb == "pause":
                await flow.pause("kb")
            elif verb == "delete":
                await flow.delete_kb("kb")
            elif verb == "lose":
                self.index.lose(self.chance.random())
                self.may_lack = True
        except PhaseflowError:
            return  # it does not fit the moment

    async def _wait(self, job: Job, puts: int) -> None:
        """Until a job is idle, or the index was given something so many times in all."""
        async with anyio.create_task_group() as tasks:

            async def first(wait: Awaitable[object]) -> None:
                await wait
                tasks.cancel_scope.cancel()

            tasks.start_soon(first, job.wait_until_idle())
            tasks.start_soon(first, self.index.until_put(puts))

    async def _settle(self, flow: PhaseFlow) -> None:
        with fail_soon(30):
            with suppress(PhaseflowError):
                await flow.cancel("kb")
            done = await (await flow.start("kb", FolderSource(str(self.docs)), allow_deletes=True)).wait()
            while not (status := await flow.status("kb")).status.is_terminal:  # noqa: ASYNC110  # nothing tells of it
                await anyio.sleep(0.01)
            assert done.status == "completed", (done.message, status.message)
            while await flow._engine.read(lambda tx: tx.row("SELECT 1 FROM index_outbox")):  # noqa: ASYNC110  # nobody tells when
                await anyio.sleep(0.01)
            ids, [(space,)] = await flow._engine.read(
                lambda tx: (
                    [row[0] for row in tx.rows("SELECT id FROM documents WHERE state = 4 AND chunk_count ORDER BY id")],
                    tx.rows("SELECT name FROM index_spaces"),
                )
            )
            await self._look(flow)
            while self.index.documents(space) != ids or {*self.index.all_spaces()} - {space}:  # noqa: ASYNC110  # nobody tells when
                await anyio.sleep(0.01)
            while await flow.why_index_down():  # noqa: ASYNC110  # nobody tells when
                await anyio.sleep(0.01)
        assert {hit.uri for hit in await flow.search("kb", "all", 100, mode="vectors")} == await searchable(flow)
        assert max(self.embedder.paid.values(), default=0) <= 1 + self.embedder.in_flight


@pytest.mark.parametrize("examples", first_of_each([2, 8]))
def test_what_can_be_found_is_what_the_documents_say(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @example(["run", "run", "move", "write", "run", "run", "move", "run", "search"], 3)
    @example(["run", "run", "rewind", "write", "push", "run", "run", "rewind", "search"], 4)
    @example(["run", "run", "lose", "search", "restart", "search", "pause", "push", "lose", "search"], 5)
    @given(st.lists(st.sampled_from(VERBS), min_size=4, max_size=14), st.integers(0, 2**16))
    def whatever_happens(verbs: list[str], seed: int) -> None:
        folder = Path(tempfile.mkdtemp(prefix="pf-faults-"))
        try:
            anyio.run(Story(folder, seed).tell, verbs)
        finally:
            shutil.rmtree(folder)

    whatever_happens()
