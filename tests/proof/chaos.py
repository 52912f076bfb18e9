"""Chaos: processes are killed, verbs given, faults injected, at random, for as long as one asks.

    python -m tests.proof.chaos --minutes 30 [--seed N]

One pass condition: after every death the file contradicts itself nowhere and no vector that was stored is ever paid for
again; and whenever the storm calms, every job goes on to its end and search sees exactly the documents there are.
Exit code 0 when it holds, 1 with what was found (and the folder with the database is kept) when it does not.
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
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

import anyio

from phaseflow import JobStatus, PhaseFlow
from phaseflow.domain.errors import JobConflict
from phaseflow.store.documents import text_hash
from tests.components.fake_embedding_server import FakeEmbeddingServer, Flaw, Refusal
from tests.engine.components import write_folder
from tests.proof import outcome, rioter
from tests.proof.rioter import KBS, Riot
from tests.proof.victim import SETTINGS, RemoteEmbedder

LIVES_BETWEEN_CALMS = 12
CALM_S = 60
"""A calm in which a job does not come to its end within this is a job that is stuck."""
MOST_DOCUMENTS = 80
OTHER_MODEL = "but this job began with"
"""In the error of a job that was begun with one embedder and cannot be ended with another: only a new one can."""
FAULTS = (
    Refusal(429), Refusal(429, {"retry-after": "0.05"}), Refusal(500), Refusal(503), Refusal(401), Refusal(400),
    Refusal(413), Flaw.HANG, Flaw.CUT_OFF, Flaw.NOT_JSON, Flaw.ONE_TOO_FEW, Flaw.NO_DATA,
)  # fmt: skip


class Contradiction(Exception):
    """The pass condition does not hold."""


@dataclass(slots=True)
class Figures:
    """What has happened."""

    lives: int = 0
    killed_from_outside: int = 0
    killed_at_a_point: int = 0
    ended_well: int = 0
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

    def __init__(self, seed: int, folder: Path) -> None:
        self.dice = random.Random(seed)  # noqa: S311  # no secret
        self.root = folder
        self.database = folder / "kb.db"
        self.notes = folder / "verbs.txt"
        self.documents = write_folder(folder / "docs", 40, words=40)
        self.figures = Figures()
        self.forks = multiprocessing.get_context("forkserver")
        self.forks.set_forkserver_preload(["tests.proof.rioter", "phaseflow.flow", "numpy", "httpx2"])
        self._written = 0
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

    async def _one_life(self, server: FakeEmbeddingServer) -> None:
        dice = self.dice
        self._change_documents()
        server.texts.clear()
        server.faults.extend(dice.choice(FAULTS) for _ in range(dice.choice((0, 0, 1, 3, 10))))
        riot = Riot(
            dice.randrange(1 << 30), self.database, self.documents, server.base_url, self.notes,
            model=dice.choice("aaaaaaab"), full_disk=dice.choice((0, 0, 0.05)),
        )  # fmt: skip
        process = self.forks.Process(target=rioter.run, args=(riot,))
        process.start()
        await self._disturb(dice.random() ** 2 * 3)
        if process.is_alive():
            process.kill()
            self.figures.killed_from_outside += 1
        await anyio.to_thread.run_sync(process.join)
        self._account_for(process.exitcode)
        await self._until_idle(server)
        self._look(server, riot.model)

    async def _disturb(self, seconds: float) -> None:
        """Wait; sometimes have the file locked by another program for a while."""
        if self.dice.random() > 0.05 or not self.database.exists():
            await anyio.sleep(seconds)
            return
        with closing(sqlite3.connect(self.database, isolation_level=None, timeout=5)) as other:
            with suppress(sqlite3.OperationalError):
                other.execute("BEGIN IMMEDIATE")
            await anyio.sleep(self.dice.choice((0.2, 1, 6)))

    def _account_for(self, code: int | None) -> None:
        figures = self.figures
        figures.lives += 1
        if code == rioter.STUCK:
            raise Contradiction(self.notes.with_suffix(".error").read_text())
        figures.ended_well += code == 0
        figures.killed_at_a_point = figures.lives - figures.ended_well - figures.killed_from_outside
        if code not in {0, -signal.SIGKILL}:
            raise Contradiction(f"a process ended with {code}")

    async def _until_idle(self, server: FakeEmbeddingServer) -> None:
        server.faults.clear()
        with anyio.move_on_after(0.2):  # a call that hangs is not answered and not paid for
            while server.in_flight:
                await server.changed.wait()

    def _look(self, server: FakeEmbeddingServer, model: str) -> None:
        if not self.database.exists() or not _has_tables(self.database):
            return
        if found := outcome.violations(self.database):
            raise Contradiction("\n".join(found))
        self._check_payments(server, f"remote:{model}")
        self.figures.calls += len(server.calls)
        server.calls.clear()
        with outcome.connected(self.database) as connection:
            last = connection.execute("SELECT coalesce(max(seq), 0) FROM transitions").fetchone()[0]
        if last < self._last_seq:
            raise Contradiction(f"the log ended with {self._last_seq} and ends with {last} now")
        self._last_seq = last

    def _check_payments(self, server: FakeEmbeddingServer, model: str) -> None:
        again = {text for text in server.texts if text_hash(text) in self._known.get(model, ())}
        if again:
            raise Contradiction(f"{len(again)} texts whose vectors were stored have been paid for again")
        now = outcome.embedded(self.database, model)
        lost = sum(text_hash(text) not in now for text in server.texts)
        repeated = sum(times - 1 for times in server.texts.values())
        self.figures.texts_paid += server.texts.total()
        self.figures.texts_paid_twice += lost + repeated
        self._known[model] = now

    async def _calm(self, server: FakeEmbeddingServer) -> None:
        """No faults, no kills: everything goes on to its end."""
        server.texts.clear()
        embedder = RemoteEmbedder(server.base_url)
        with anyio.move_on_after(CALM_S) as patience:
            async with PhaseFlow(self.database, embedder=embedder) as flow:
                for kb in KBS:
                    await self._bring_to_an_end(flow, kb)
        await embedder.aclose()
        if patience.cancelled_caught:
            raise Contradiction(f"a job was stuck for {CALM_S} s")
        self._look(server, "a")
        self._check_search()
        self.figures.calms += 1
        print(f"{self.figures.lives} lives, {self.figures.calms} calms, {self._last_seq} transitions", file=sys.stderr)

    async def _bring_to_an_end(self, flow: PhaseFlow, kb: str) -> None:
        for status in await flow.latest():
            if status.kb_id == kb:
                await _go_on(flow, kb)
        final = await (await flow.start(kb, self.documents, settings=SETTINGS)).wait()
        if final.status is not JobStatus.COMPLETED or final.metrics.documents_failed:
            raise Contradiction(f"in the calm: {final.model_dump_json(indent=1)}")

    def _check_search(self) -> None:
        there = {
            path.name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
            for path in self.documents.iterdir()
        }
        for kb in KBS:
            seen = {uri: found.content_hash for uri, found in outcome.searchable(self.database, kb).items()}
            if seen != there:
                raise Contradiction(f"search of {kb} differs in {sorted(set(seen.items()) ^ set(there.items()))}")
        if left := outcome.leftovers(self.database):
            raise Contradiction(f"{left} documents are left over")
        if not outcome.index_is_whole(self.database):
            raise Contradiction("the index is damaged")

    def _change_documents(self) -> None:
        for _ in range(self.dice.choice((0, 1, 3, 8))):
            path = self.dice.choice(sorted(self.documents.iterdir()))
            number = len(list(self.documents.iterdir()))
            deed = self.dice.choice(("change", "add", "delete", "rename"))
            self._written += 1
            if deed == "change":
                path.write_text(
                    f"# Changed {self._written}\n\n" + " ".join(f"new{self._written}x{n}" for n in range(60))
                )
            elif deed == "add" and number < MOST_DOCUMENTS:
                (self.documents / f"new{self._written:05}.md").write_text(
                    path.read_text() + f"\n\nadded {self._written}"
                )
            elif deed == "delete" and number > MOST_DOCUMENTS // 4:
                path.unlink()
            elif deed == "rename":
                path.rename(self.documents / f"ren{self._written:05}.md")

    def sum_up(self) -> Figures:
        """The figures, completed from the database."""
        figures = self.figures
        if self.notes.exists():
            figures.verbs = Counter(self.notes.read_text().split("\n")[:-1])
        if self.database.exists() and _has_tables(self.database):
            with outcome.connected(self.database) as connection:
                figures.jobs, figures.transitions, figures.vectors = connection.execute(
                    "SELECT (SELECT count(*) FROM ingestion_jobs), (SELECT count(*) FROM transitions),"
                    " (SELECT count(*) FROM vectors)"
                ).fetchone()
                figures.documents = connection.execute(
                    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'documents'), 0)"
                ).fetchone()[0]
        return figures


async def _go_on(flow: PhaseFlow, kb: str) -> None:
    """Bring the newest job to a good end."""
    while True:
        status = await flow.status(kb)
        if status.status in {JobStatus.COMPLETED, JobStatus.CANCELLED} or OTHER_MODEL in (status.error or ""):
            return
        with suppress(JobConflict):  # it has moved on since we looked
            if "retry" in status.allowed_actions:
                await flow.retry(kb)
            elif "resume" in status.allowed_actions:
                await flow.resume(kb)
        hint = flow.tracker.feed.hint()
        with anyio.move_on_after(0.2):
            await hint.wait()


def _has_tables(database: Path) -> bool:
    with outcome.connected(database) as connection:
        return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def main() -> int:
    """Run a storm and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    logging.disable()  # the server says at length that it has cut off an answer
    root = Path(tempfile.mkdtemp(prefix="phaseflow-chaos-"))
    chaos = Chaos(options.seed, root)
    verdict = "passed"
    try:
        anyio.run(chaos.run, options.minutes * 60)
    except Contradiction as found:
        verdict = f"FAILED, seed {options.seed}, database kept in {root}:\n{found}"
    figures = chaos.sum_up()
    verbs = figures.verbs
    print(f"seed {options.seed}: {verdict}")
    print("\n".join(f"{name.replace('_', ' ')}: {number}" for name, number in figures.numbers()))
    print(f"verbs: {sum(verbs.values())} ({', '.join(f'{verb} {count}' for verb, count in sorted(verbs.items()))})")
    if verdict == "passed":
        shutil.rmtree(root, ignore_errors=True)
    return 0 if verdict == "passed" else 1


if __name__ == "__main__":
    sys.exit(main())
