"""The head, or the PostgreSQL that has the index, comes to harm at each named point: ``./tasks index-kills``.

Each cell: a knowledge base is filled, a process works on it, and at the point one of the two gets ``kill -9``, or the
server stands still for ``--stopped`` seconds, or its disk is full. Then all goes on. In the end hits are the searchable
documents, the outbox is empty, the spaces and the documents of the server are those that the database knows, and no
text was paid for twice but those of the calls in hand.
"""

import argparse
import multiprocessing
import secrets
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from pathlib import Path

import anyio

from phaseflow import FolderSource, PhaseFlow
from phaseflow.domain.errors import Busy, IndexUnavailable, JobConflict, KnowledgeBaseNotFound
from phaseflow.domain.status import SearchHits
from phaseflow.store import failpoints
from tests.components.fake_embedding_server import FakeEmbeddingServer
from tests.indexes.postgres import Postgres
from tests.proof.disk import Disk, enter_own_mounts
from tests.proof.index_cluster import Cluster, slow_docx
from tests.proof.index_victim import CELLS, Cell, Errand, Who, arrived_at, live, run_errand, until_settled
from tests.proof.victim import AT_RISK, RemoteEmbedder
from tests.stopwatch import fail_soon

GO_ON_S = 150
QUERY = "all"
NO_ROOM = "No space left on device"
STOPPED_S = 30.0
FULL_S = 4.0
SIZE_MB = 192
"""The disk of the server."""
PRELOADED = ["tests.proof.index_kills", "numpy", "psycopg", "httpx2", "semantic_text_splitter"]
"""What a process would else import for each kill: beside what it needs also the program that starts it."""


@dataclass(frozen=True, slots=True)
class _Template:
    """Two knowledge bases as they are before an errand, and what has been paid for them."""

    folder: Path
    schema: str
    paid: Counter[str]


class Kills:
    """One server for all cells; each begins with copies of the same database, folder and tables. ``cluster``: what the
    cells of a cluster kill; it must outlive them."""

    def __init__(
        self,
        root: Path,
        server: Postgres,
        forks: multiprocessing.context.BaseContext,
        disk: Disk | None = None,
        stopped_s: float = STOPPED_S,
        cluster: "Cluster | None" = None,
    ) -> None:
        self._folder = root / "run"
        self._root = root
        self._disk = disk
        self._stopped_s = stopped_s
        self._server = server
        self._forks = forks
        self._cluster = cluster
        self._templates: dict[str, _Template] = {}

    @property
    def _database(self) -> Path:
        return self._folder / "kb.db"

    @property
    def _docs(self) -> Path:
        return self._folder / "docs"

    async def prove(self, cell: Cell) -> bool:
        """Raises AssertionError where a rule is broken; False when the point was not reached."""
        database, docs = self._database, self._docs
        async with FakeEmbeddingServer(delay_s=0.001) as paid:
            embedder = RemoteEmbedder(paid.base_url)
            await self._begin(cell, embedder, paid)
            _write(docs, range(8), "again")
            _write(docs, range(24, 34), "once")
            if cell.who.is_of_cluster:
                _write_for_workers(docs)
            for number in range(8, 12):
                (docs / f"d{number:02}.md").unlink()
            kill = self._kill_of_cluster if cell.who.is_of_cluster else self._kill
            is_reached = await kill(cell, database, docs, paid.base_url)
            await self._go_on(cell, database, docs, embedder)
            await embedder.aclose()
            twice = [text for text, times in paid.texts.items() if times > 1 and text != QUERY]
        self._check(cell, database, docs)
        most = 0 if cell.who.is_of_cluster and cell.errand is not Errand.CANCEL else 2 * AT_RISK
        # Of the head that was killed; a cancel drops as many.
        assert len(twice) <= most, f"{len(twice)} texts were paid for twice"
        return is_reached

    async def _begin(self, cell: Cell, embedder: RemoteEmbedder, paid: FakeEmbeddingServer) -> None:
        """The state before an errand, made once for all that begin with the same."""
        kind = cell.errand.before["index"]["type"]
        await anyio.to_thread.run_sync(self._server.rows, "DROP SCHEMA IF EXISTS phaseflow CASCADE")
        if kind not in self._templates:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._docs.mkdir(parents=True)
            _write(self._docs, range(24), "once")
            async with PhaseFlow(self._database, embedder=embedder, index_servers={"main": self._server.url}) as flow:
                for kb in ("kb", "other"):
                    job = await flow.start(kb, FolderSource(str(self._docs)), settings=cell.errand.before)
                    assert (await job.wait()).status == "completed"
            made = _Template(self._root / kind, f"made_{secrets.token_hex(4)}", paid.texts.copy())
            shutil.copytree(self._folder, made.folder)
            self._server.rows(f"CREATE SCHEMA IF NOT EXISTS phaseflow; ALTER SCHEMA phaseflow RENAME TO {made.schema}")
            self._templates[kind] = made
        template = self._templates[kind]
        shutil.rmtree(self._folder)
        shutil.copytree(template.folder, self._folder)
        paid.texts.update(template.paid - paid.texts)
        tables = self._server.rows(f"SELECT tablename FROM pg_tables WHERE schemaname = '{template.schema}'")
        copies = (  # of pages that are nearly full: what is put needs room on the disk
            f'CREATE TABLE phaseflow."{name}" (LIKE {template.schema}."{name}" INCLUDING ALL) WITH (fillfactor = 10);'
            f' INSERT INTO phaseflow."{name}" SELECT * FROM {template.schema}."{name}";'
            for (name,) in tables
        )
        self._server.rows(f"CREATE SCHEMA phaseflow; {' '.join(copies)}")

    async def _kill(self, cell: Cell, database: Path, docs: Path, base_url: str) -> bool:
        process = self._forks.Process(  # type: ignore[attr-defined]  # put there by the test
            target=live, args=(cell, database, docs, base_url, self._server.url, self._server.pid)
        )
        process.start()
        arrived = arrived_at(database)
        with fail_soon(GO_ON_S):
            while process.is_alive():
                await anyio.sleep(0.02)
                if arrived.exists():
                    await self._harm(cell.who, arrived)
                if not self._server.is_running:
                    await anyio.to_thread.run_sync(self._server.start)
        if not self._server.is_running:
            await anyio.to_thread.run_sync(self._server.start)
        assert process.exitcode in {0, 3, -signal.SIGKILL}, f"the head ended with {process.exitcode}"
        assert (process.exitcode == -signal.SIGKILL) <= (cell.who is Who.HEAD)
        return bool(process.exitcode != 3)

    async def _kill_of_cluster(self, cell: Cell, database: Path, docs: Path, base_url: str) -> bool:
        assert self._cluster is not None
        await self._cluster.until_up()
        left = cell.arrival

        def arrive() -> None:
            nonlocal left
            left -= 1
            if left == 0 and self._cluster is not None:
                self._cluster.kill(cell.who)

        try:
            await run_errand(
                cell.errand, database, docs, base_url, self._server.url,
                lambda: failpoints.install(cell.point, arrive), self._cluster,
            )  # fmt: skip
        finally:
            failpoints.clear()
        return left <= 0

    async def _harm(self, who: Who, arrived: Path) -> None:
        """Do it, say so, and end it after a while."""
        if who is Who.STOPPED:
            await anyio.to_thread.run_sync(self._server.stop)
            arrived.unlink()
            await anyio.sleep(self._stopped_s)
            await anyio.to_thread.run_sync(self._server.go_on)
        else:
            assert self._disk is not None
            self._disk.fill(0)
            arrived.unlink()
            await anyio.sleep(FULL_S)
            self._disk.empty()

    async def _go_on(self, cell: Cell, database: Path, docs: Path, embedder: RemoteEmbedder) -> None:
        with fail_soon(GO_ON_S):
            workers = self._cluster if cell.who.is_of_cluster else None
            async with PhaseFlow(
                database, embedder=embedder, index_servers={"main": self._server.url}, workers=workers
            ) as flow:
                if cell.errand is Errand.DELETE:
                    await _delete(flow)
                else:
                    await _finish(flow, docs, cell)
                    found = {hit.uri for hit in await _hits(flow, "kb")}
                    assert found == {path.name for path in docs.iterdir()}, "hits are the searchable documents"
                assert len(await _hits(flow, "other")) == 24
                await until_settled(flow)

    def _check(self, cell: Cell, database: Path, docs: Path) -> None:
        with closing(sqlite3.connect(database)) as connection:

            def rows(sql: str) -> list[tuple[object, ...]]:
                return connection.execute(sql).fetchall()

            assert rows("SELECT * FROM index_outbox") == []
            owner = f"pf{rows('SELECT last FROM sequences WHERE name = ' + repr('index'))[0][0]:012x}_"
            spaces = rows("SELECT name, kb_id, index_version FROM index_spaces ORDER BY name")
            there = self._server.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'phaseflow' ORDER BY 1")
            assert [(name,) for name, *_ in spaces] == [each for each in there if str(each[0]).startswith(owner)]
            for name, kb, version in spaces:
                known = rows(
                    f"SELECT id FROM documents WHERE kb_id = '{kb}' AND index_version = {version}"
                    " AND state = 4 ORDER BY 1"
                )
                kept = self._server.rows(f'SELECT DISTINCT document_id FROM phaseflow."{name}" ORDER BY 1')
                assert kept == known, f"the documents in {kb}"


async def _hits(flow: PhaseFlow, kb: str) -> SearchHits:
    """What a search finds; on a busy machine, when it is answered in time."""
    while True:
        try:
            return await flow.search(kb, QUERY, 100, mode="vectors")
        except (Busy, IndexUnavailable):
            await anyio.sleep(0.1)


async def _finish(flow: PhaseFlow, docs: Path, cell: Cell) -> None:
    """Let the open job end, and make one that brings all in."""
    try:
        job = await flow.job("kb")
        while not (status := await job.wait_until_idle()).status.is_terminal:
            await flow.resume("kb")
    except JobConflict:
        await job.wait()
    assert status.status in {"completed", "cancelled", "failed"}
    job = await flow.start("kb", FolderSource(str(docs)), settings=cell.errand.after, allow_deletes=True)
    done = await job.wait()
    assert done.status == "completed", done.message


async def _delete(flow: PhaseFlow) -> None:
    try:
        await flow.delete_kb("kb")
    except KnowledgeBaseNotFound:
        return  # it was deleted before the kill


def _write_for_workers(docs: Path) -> None:
    """Documents that are read on a cluster: some at once, some while the first are indexed."""
    for number in range(40, 46):
        (docs / f"r{number}.rtf").write_bytes(rb"{\rtf1 This once was all about number %d\par}" % number)
    for number in range(46, 48):
        (docs / f"s{number}.docx").write_bytes(slow_docx(f"This once was all about number {number}"))


def _write(docs: Path, numbers: Sequence[int], word: str) -> None:
    for number in numbers:
        (docs / f"d{number:02}.md").write_text(f"# Document {number}\n\nThis {word} was all about number {number}.\n")


def _may_not(cell: Cell, disk: Disk) -> str | None:
    """Why a cell cannot be tried here."""
    if cell.who is Who.FULL and not disk.is_real:
        return "this process may not mount a filesystem"
    return "the extra ray is not installed" if cell.who.is_of_cluster and find_spec("ray") is None else None


@dataclass(slots=True)
class _Count:
    """What has become of a cell."""

    times: int = 0
    reached: int = 0
    busy: int = 0
    seconds: float = 0.0
    refused: int = 0
    broken: int = 0

    def __str__(self) -> str:
        said = f"{self.times} times, the point reached {self.reached}, {self.seconds:.0f} s"
        said += f", {self.busy} with documents in hand" if self.busy else ""
        said += f", {self.refused} calls without room" if self.refused else ""
        return said + (f", BROKEN {self.broken}" if self.broken else "")


async def _main(times: int, minutes: float, only: Sequence[str], stopped_s: float) -> int:
    until = time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        async with AsyncExitStack() as stack:
            disk = Disk(Path(folder) / "disk", SIZE_MB)
            stack.callback(disk.close)
            for each in (Path(folder), disk.folder):
                each.chmod(0o755)  # the server may run as somebody else
            server = stack.enter_context(Postgres(disk.folder))
            forks = multiprocessing.get_context("forkserver")
            forks.set_forkserver_preload(PRELOADED)
            cluster = Cluster()
            stack.push_async_callback(cluster.end)
            kills = Kills(Path(folder), server, forks, disk, stopped_s, cluster)
            counts: dict[Cell, _Count] = {}
            for cell in [each for each in CELLS if not only or any(word in str(each) for word in only)]:
                if why := _may_not(cell, disk):
                    print(f"{cell}: left out, {why}")
                else:
                    counts[cell] = _Count()
            for number in range(times):  # in rounds: whenever it ends, each cell was tried about as often
                for cell, count in counts.items():
                    if time.monotonic() < until:
                        refused, cluster.busy = server.log.count(NO_ROOM), 0
                        await _try(kills, cell, count)
                        count.refused += server.log.count(NO_ROOM) - refused
                        count.busy += cluster.busy
                print(f"round {number + 1}, {sum(count.broken for count in counts.values())} broken", flush=True)
    for cell, count in counts.items():
        print(f"{cell}: {count}")
    return 1 if any(count.broken or not count.reached for count in counts.values()) else 0


async def _try(kills: Kills, cell: Cell, count: _Count) -> None:
    began = time.monotonic()
    count.times += 1
    try:
        count.reached += await kills.prove(cell)
    except Exception as error:  # noqa: BLE001  # whatever it is, the other cells are worth trying
        count.broken += 1
        print(f"{cell}: {type(error).__name__}: {error}", flush=True)
    count.seconds += time.monotonic() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=inf, help="no more cells after so long")
    parser.add_argument("--only", action="append", default=[], help="only cells with this in their name; repeatable")
    parser.add_argument("--stopped", type=float, default=STOPPED_S, help="seconds that the server stands still")
    given = parser.parse_args()
    enter_own_mounts("tests.proof.index_kills")
    sys.exit(anyio.run(_main, given.times, given.minutes, given.only, given.stopped))
