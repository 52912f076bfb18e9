"""Chaos: processes are killed, verbs given, faults injected, the disk filled, at random, for as long as one asks.

    python -m tests.proof.chaos --minutes 30 [--seed N] [--no-small-disk]

One pass condition: after every death the file contradicts itself nowhere, a reader is told that nothing runs, and no
vector that was stored is ever paid for again; whenever there is room on the disk again, the process that met the full
one goes on to the end of every job; and whenever the storm calms, search sees exactly the documents there are.
Exit code 0 when it holds, 1 with what was found (and the folder with the database is kept) when it does not.

The database lies on a small filesystem of its own where this process may mount one (as root, or in a user namespace).
"""

import argparse
import hashlib
import logging
import multiprocessing
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, fields
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import anyio

from phaseflow import PhaseFlow
from phaseflow.store.documents import text_hash
from tests.components.fake_embedding_server import FakeEmbeddingServer, Flaw, Refusal
from tests.proof import outcome, rioter, terminal
from tests.proof.calm import bring_to_an_end
from tests.proof.disk import Disk, enter_own_mounts
from tests.proof.onlooker import Onlooker
from tests.proof.outcome import Contradiction
from tests.proof.rioter import KBS, Riot
from tests.proof.shelf import Shelf
from tests.proof.victim import RemoteEmbedder

LIVES_BETWEEN_CALMS = 12
CALM_S = 180
"""A calm in which a job does not come to its end within this is a job that is stuck, also on a machine that is busy."""
RECOVERY_S = 180
"""The same, in a process that has met the full disk and all the faults."""
FULLEST_MB = 120
"""A database that has grown to this is set aside for a new one: there must be room to fill."""
LEFT = (0, 0, 0, 4096, 40_000, 400_000, 4_000_000)
"""Bytes that a full disk has left."""
FAULTS = (
    Refusal(429), Refusal(429, {"retry-after": "0.05"}), Refusal(500), Refusal(503), Refusal(401), Refusal(400),
    Refusal(413), Flaw.HANG, Flaw.CUT_OFF, Flaw.NOT_JSON, Flaw.ONE_TOO_FEW, Flaw.NO_DATA,
)  # fmt: skip


@dataclass(slots=True)
class Figures:
    """What has happened."""

    lives: int = 0
    killed_from_outside: int = 0
    killed_at_a_point: int = 0
    ended_well: int = 0
    commands: int = 0
    recoveries: int = 0
    disk_filled: int = 0
    looks_from_beside: int = 0
    databases: int = 1
    calms: int = 0
    jobs: int = 0
    transitions: int = 0
    documents: int = 0
    vectors: int = 0
    calls: int = 0
    texts_paid: int = 0
    texts_paid_twice: int = 0
    verbs: Counter[str] = field(default_factory=Counter)

    def numbers(self) -> list[tuple[str, int]]:
        """All of them but the verbs."""
        return [(each.name, getattr(self, each.name)) for each in fields(self) if each.name != "verbs"]


class Chaos:
    """One storm over one database file."""

    def __init__(self, seed: int, folder: Path, disk: Disk) -> None:
        self.dice = random.Random(seed)  # noqa: S311  # no secret
        self.disk = disk
        self.database = disk.folder / "kb.db"
        self.notes = folder / "verbs.txt"
        self.shelf = Shelf(folder / "docs", self.dice)
        self.onlooker = Onlooker(self.database, lambda: not self._is_full)
        self.figures = Figures()
        self.forks = multiprocessing.get_context("forkserver")
        self.forks.set_forkserver_preload(["tests.proof.rioter", "phaseflow.flow", "numpy", "httpx2"])
        self._is_full = False
        self._may_fill = True
        self._last_seq = 0
        self._known: dict[str, set[bytes]] = {}

    async def run(self, seconds: float) -> None:
        """The storm. Raises Contradiction."""
        end = time.monotonic() + seconds
        async with FakeEmbeddingServer(delay_s=0.002) as server:
            while time.monotonic() < end:
                for _ in range(LIVES_BETWEEN_CALMS):
                    await self._one_life(server)
                await self._calm(server)
                self._begin_anew_when_large()

    async def _one_life(self, server: FakeEmbeddingServer) -> None:
        dice = self.dice
        self.shelf.change()
        server.texts.clear()
        server.faults.extend(dice.choice(FAULTS) for _ in range(dice.choice((0, 0, 1, 3, 10))))
        bases = self._bases()
        if dice.random() < 0.1:
            self._fill()
        async with self._weather():
            if dice.random() < 0.15:
                model = None
                await self._command(server)
            else:
                model = dice.choice("aaaaaaab")
                await self._riot(server, model)
        self._empty()
        await self._until_idle(server)
        await self.onlooker.check_dead()
        self._look(server, model, may_pay_again=not bases <= self._bases())
        self.figures.looks_from_beside = self.onlooker.looks

    async def _riot(self, server: FakeEmbeddingServer, model: str) -> None:
        dice = self.dice
        riot = Riot(
            dice.randrange(1 << 30), self.database, self.shelf.folder, server.base_url, self.notes, model=model,
            full_disk=dice.choice((0, 0, 0.05)), recovers=dice.random() < 0.2,
        )  # fmt: skip
        riot.calm.unlink(missing_ok=True)
        process = self.forks.Process(target=rioter.run, args=(riot,))
        process.start()
        await self._disturb(dice.random() ** 2 * 3)
        if riot.recovers:
            await self._let_recover(server, riot, process)
        if process.is_alive():
            process.kill()
            self.figures.killed_from_outside += 1
        await anyio.to_thread.run_sync(process.join)
        self._account_for(process.exitcode)

    async def _let_recover(self, server: FakeEmbeddingServer, riot: Riot, process: ForkServerProcess) -> None:
        """Room again, no more faults: the same process has to bring everything to its end."""
        self._may_fill = False
        self._empty()
        server.faults.clear()
        riot.calm.touch()
        await anyio.to_thread.run_sync(process.join, RECOVERY_S)
        if process.is_alive():
            raise Contradiction(f"a job was stuck for {RECOVERY_S} s after there was room on the disk again")
        self.figures.recoveries += process.exitcode == 0

    async def _command(self, server: FakeEmbeddingServer) -> None:
        command = terminal.Command(self.database, self.shelf.folder, server.base_url, self.notes.with_suffix(".log"))
        await self._disturb(0.8 + self.dice.random() * 3)
        sent = command.end(self.dice)
        await anyio.to_thread.run_sync(command.ended, sent)
        self.figures.commands += 1
        self.figures.lives += 1

    @asynccontextmanager
    async def _weather(self) -> AsyncIterator[None]:
        """While the block runs: somebody looks from beside, and in half of all lives the disk fills and empties."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.onlooker.watch)
            if self.dice.random() < 0.5:
                tasks.start_soon(self._fill_and_empty)
            self._may_fill = True
            yield
            tasks.cancel_scope.cancel()

    async def _fill_and_empty(self) -> None:
        while True:
            await anyio.sleep(self.dice.random() ** 2)
            self._fill()
            await anyio.sleep(self.dice.random() * 1.5)
            self._empty()

    def _fill(self) -> None:
        if self._may_fill:
            self._is_full = True
            self.disk.fill(self.dice.choice(LEFT))
            self.figures.disk_filled += 1

    def _empty(self) -> None:
        self.disk.empty()
        self._is_full = False

    async def _disturb(self, seconds: float) -> None:
        """Wait; sometimes have the file locked by another program for a while."""
        if self.dice.random() > 0.05 or not self.database.exists():
            await anyio.sleep(seconds)
            return
        with closing(sqlite3.connect(self.database, isolation_level=None, timeout=60)) as other:
            with suppress(sqlite3.OperationalError):
                other.execute("BEGIN IMMEDIATE")
            await anyio.sleep(self.dice.choice((0.2, 1, 6)))

    def _account_for(self, code: int | None) -> None:
        figures = self.figures
        figures.lives += 1
        if code == rioter.STUCK:
            raise Contradiction(self.notes.with_suffix(".error").read_text())
        figures.ended_well += code == 0
        figures.killed_at_a_point = figures.lives - figures.ended_well - figures.killed_from_outside - figures.commands
        if code not in {0, -signal.SIGKILL}:
            raise Contradiction(f"a process ended with {code}")

    async def _until_idle(self, server: FakeEmbeddingServer) -> None:
        server.faults.clear()
        with anyio.move_on_after(0.2):  # a call that hangs is not answered and not paid for
            while server.in_flight:
                await server.changed.wait()

    def _look(self, server: FakeEmbeddingServer, model: str | None, *, may_pay_again: bool = False) -> None:
        if not self.database.exists() or not _has_tables(self.database):
            return
        if found := outcome.violations(self.database):
            raise Contradiction("\n".join(found))
        self._check_payments(server, model, may_pay_again)
        self.figures.calls += len(server.calls)
        server.calls.clear()
        last = outcome.last_seq(self.database)
        if last < self._last_seq:
            raise Contradiction(f"the log ended with {self._last_seq} and ends with {last} now")
        self._last_seq = last

    def _check_payments(self, server: FakeEmbeddingServer, model: str | None, may_pay_again: bool) -> None:
        """``may_pay_again``: a knowledge base was deleted, whose vectors may have gone with it."""
        whose = f"remote:{model}" if model else "openai:%"
        again = {text for text in server.texts if text_hash(text) in self._known.get(whose, ())}
        if again and not may_pay_again:
            raise Contradiction(f"{len(again)} texts whose vectors were stored have been paid for again")
        now = outcome.embedded(self.database, whose)
        lost = sum(text_hash(text) not in now for text in server.texts)
        repeated = sum(times - 1 for times in server.texts.values())
        self.figures.texts_paid += server.texts.total()
        self.figures.texts_paid_twice += lost + repeated
        for each in {*self._known, whose}:
            self._known[each] = outcome.embedded(self.database, each, kept=True)

    def _bases(self) -> set[str]:
        """The knowledge bases that there are, by keys that are never used again. Asked of the file: a deletion whose
        caller was cancelled, or killed, before it could say so has deleted all the same."""
        return outcome.bases(self.database) if self.database.exists() else set()

    def _begin_anew_when_large(self) -> None:
        if self.disk.used_mb < FULLEST_MB or not self.disk.is_real:
            return
        self._count_rows()
        for path in self.disk.folder.iterdir():
            path.unlink()
        self._known.clear()
        self._last_seq = 0
        self.figures.databases += 1

    async def _calm(self, server: FakeEmbeddingServer) -> None:
        """No faults, no kills: everything goes on to its end."""
        server.texts.clear()
        embedder = RemoteEmbedder(server.base_url)
        with anyio.move_on_after(CALM_S) as patience:
            async with PhaseFlow(self.database, embedder=embedder) as flow:
                for kb in KBS:
                    await bring_to_an_end(flow, kb, self.shelf.folder)
        await embedder.aclose()
        if patience.cancelled_caught:
            raise Contradiction(f"a job was stuck for {CALM_S} s")
        self._look(server, "a")
        server.texts.clear()
        await self._end_by_command(server)
        self._look(server, None)
        await self._until_clean()
        self._check_search()
        self.figures.calms += 1
        print(f"{self.figures.lives} lives, {self.figures.calms} calms, {self._last_seq} transitions", file=sys.stderr)

    async def _until_clean(self) -> None:
        """What was deleted or replaced goes by and by, while an engine is open."""
        embedder = RemoteEmbedder("http://127.0.0.1:9/v1")
        with anyio.move_on_after(CALM_S):
            async with PhaseFlow(self.database, embedder=embedder):
                while outcome.leftovers(self.database):  # noqa: ASYNC110  # it is seen in the file only
                    await anyio.sleep(0.1)
        await embedder.aclose()

    async def _end_by_command(self, server: FakeEmbeddingServer) -> None:
        """The command goes on with its job, and then does a whole one.

        What the engines of others began with another embedder fails first.
        """
        completed = 0
        for _ in range(4):
            # The riot may have thinned the folder out: without a yes beforehand each job would wait for one.
            command = terminal.Command(
                self.database,
                self.shelf.folder,
                server.base_url,
                self.notes.with_suffix(".log"),
                wait_s=CALM_S,
                allow_deletes=True,
            )
            completed += await anyio.to_thread.run_sync(command.ended, None) == 0
            if completed == 2:
                return
        raise Contradiction(f"ingest does not complete in the calm:\n{command.said()}")

    def _check_search(self) -> None:
        there = {
            path.name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
            for path in self.shelf.folder.iterdir()
        }
        for kb in (*KBS, terminal.KB):
            seen = {uri: found.content_hash for uri, found in outcome.searchable(self.database, kb).items()}
            if seen != there:
                raise Contradiction(f"search of {kb} differs in {sorted(set(seen.items()) ^ set(there.items()))}")
        if left := outcome.leftovers(self.database):
            raise Contradiction(f"{left} documents are left over")
        if not outcome.index_is_whole(self.database):
            raise Contradiction("the index is damaged")

    def sum_up(self) -> Figures:
        """The figures, completed from the database."""
        if self.notes.exists():
            self.figures.verbs = Counter(self.notes.read_text().split("\n")[:-1])
        self._count_rows()
        return self.figures

    def _count_rows(self) -> None:
        figures = self.figures
        if not self.database.exists() or not _has_tables(self.database):
            return
        with outcome.connected(self.database) as connection:
            found = connection.execute(
                "SELECT (SELECT count(*) FROM ingestion_jobs), (SELECT count(*) FROM transitions),"
                " (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'documents'),"
                " (SELECT count(*) FROM vectors)"
            ).fetchone()
        figures.jobs += found[0]
        figures.transitions += found[1]
        figures.documents += found[2]
        figures.vectors += found[3]


def _has_tables(database: Path) -> bool:
    with outcome.connected(database) as connection:
        return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def main() -> int:
    """Run a storm and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--no-small-disk", action="store_true", help="mount nothing, simulate a full disk")
    options = parser.parse_args()
    if not options.no_small_disk:
        enter_own_mounts("tests.proof.chaos")
    # Ignored where a shell or nohup starts this in the background, and a command that is sent one before it has its own
    # handlers would never hear of it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.disable()  # the server says at length that it has cut off an answer
    root = Path(tempfile.mkdtemp(prefix="phaseflow-chaos-"))
    disk = Disk(root / "disk")
    print(f"the disk: {disk}", file=sys.stderr)
    chaos = Chaos(options.seed, root, disk)
    verdict = "passed"
    try:
        anyio.run(chaos.run, options.minutes * 60)
    except BaseException as error:
        found = cause_of(error)
        if not isinstance(found, Contradiction):
            raise
        shutil.copytree(disk.folder, root / "kept", ignore=shutil.ignore_patterns("balloon"))
        verdict = f"FAILED, seed {options.seed}, database kept in {root / 'kept'}:\n{found}"
    figures = chaos.sum_up()
    disk.close()
    verbs = figures.verbs
    print(f"seed {options.seed}: {verdict}")
    print(f"disk: {disk}")
    print("\n".join(f"{name.replace('_', ' ')}: {number}" for name, number in figures.numbers()))
    print(f"verbs: {sum(verbs.values())} ({', '.join(f'{verb} {count}' for verb, count in sorted(verbs.items()))})")
    if verdict == "passed":
        shutil.rmtree(root, ignore_errors=True)
    return 0 if verdict == "passed" else 1


def cause_of(error: BaseException) -> BaseException:
    """What was raised first in a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
