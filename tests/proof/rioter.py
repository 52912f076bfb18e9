"""A process that gives an engine random verbs, until it is killed, kills itself, or leaves in good order."""

import os
import random
import signal
import sqlite3
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from phaseflow import BudgetPolicy, GuardPolicy, JobPhase, PhaseFlow, Policies, RetryPolicy
from phaseflow.domain.errors import Busy, JobConflict, JobNotFound, KnowledgeBaseNotFound, StoreUnavailable
from phaseflow.store import failpoints
from tests.proof.calm import bring_to_an_end
from tests.proof.victim import SETTINGS, RemoteEmbedder
from tests.stopwatch import fail_soon

KBS = ("one", "two")
POINTS = (
    "store.before_commit", "store.after_commit", "store.told", "scheduler.applied", "scheduler.recovered",
    "run_start.start", "run_start.resume", "run_start.retry", "loading.writing", "loading.between", "chunking.writing",
    "chunking.between",
    "embedding.answered", "embedding.writing", "embedding.between", "indexing.writing", "indexing.between",
    "indexing.withdrawn", "indexing.switched", "indexing.cleaned", "supervisor.running", "supervisor.paused",
    "supervisor.completed", "supervisor.failed", "janitor.removed_some", "clearing.taken_out", "loading.listed",
    "loading.taken", "indexing.guarded", "run_start.requeued",
)  # fmt: skip
VERBS = ("start", "start", "anew", "pause", "resume", "resume", "cancel", "retry", "pause phase", "resume phase", "ask")
POLICIES = Policies(
    retry=RetryPolicy(tries=6, first_s=0.01, most_s=2),
    budget=BudgetPolicy(in_a_row=20),
    guard=GuardPolicy(rate_limited_s=2),
)
ANSWER_S = 10
"""A verb answers within this, whatever happens: a database that another program has locked is waited for 5 seconds."""
STUCK = 70


@dataclass(frozen=True, slots=True)
class Riot:
    """One life.

    ``model`` is the embedder's; ``full_disk`` the share of commits that find the disk full. ``recovers``: after its
    verbs it waits for the file ``calm``, and then brings every job to its end.
    """

    seed: int
    database: Path
    folder: Path
    base_url: str
    notes: Path
    model: str = "a"
    full_disk: float = 0.0
    recovers: bool = False

    @property
    def calm(self) -> Path:
        """Is there when there are no more faults and there is room on the disk."""
        return self.notes.with_suffix(".calm")


def run(riot: Riot) -> None:
    """Live until killed; exit code 0 for a good end, ``STUCK`` for what must not happen (see ``notes``)."""
    dice = random.Random(riot.seed)  # noqa: S311  # no secret
    _arm(riot, dice)
    try:
        anyio.run(_live, riot, dice)
    except BaseException:  # noqa: BLE001  # whatever it is must be seen by who started this process
        riot.notes.with_suffix(".error").write_text(traceback.format_exc())
        os._exit(STUCK)


def _arm(riot: Riot, dice: random.Random) -> None:
    if dice.random() < 0.5:
        _arm_kill(dice.choice(POINTS), dice.choice((1, 1, 2, 3, 5, 8, 13, 21)))
    elif riot.full_disk:
        failpoints.install("store.before_commit", lambda: _maybe_full(riot.full_disk, dice))


def _arm_kill(point: str, arrival: int) -> None:
    left = arrival

    def arrive() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.install(point, arrive)


def _maybe_full(share: float, dice: random.Random) -> None:
    if dice.random() < share:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error


async def _live(riot: Riot, dice: random.Random) -> None:
    embedder = RemoteEmbedder(riot.base_url, riot.model, timeout_s=0.5)
    deeds = dice.randrange(5, 60)
    with suppress(StoreUnavailable):  # a disk can be full, or a file locked, before anything has begun
        async with (
            PhaseFlow(riot.database, embedder=embedder, policies=POLICIES) as flow,
            anyio.create_task_group() as tasks,
        ):
            for kb in KBS:
                own = random.Random(dice.random())  # noqa: S311  # no secret
                tasks.start_soon(_live_with, flow, kb, riot, own, deeds)
    await embedder.aclose()


async def _live_with(flow: PhaseFlow, kb: str, riot: Riot, dice: random.Random, deeds: int) -> None:
    await _give_verbs(flow, kb, riot, dice, deeds)
    if not riot.recovers:
        return
    while not riot.calm.exists():  # noqa: ASYNC110  # another process makes it
        await anyio.sleep(0.05)
    failpoints.clear()
    await bring_to_an_end(flow, kb, riot.folder)


async def _give_verbs(flow: PhaseFlow, kb: str, riot: Riot, dice: random.Random, deeds: int) -> None:
    for _ in range(deeds):
        verb = dice.choice(VERBS)
        with fail_soon(ANSWER_S):
            try:
                if dice.random() < 0.1:
                    with anyio.move_on_after(dice.random() * 0.02):
                        await _give(flow, kb, verb, riot, dice)
                else:
                    await _give(flow, kb, verb, riot, dice)
            except JobConflict as conflict:
                if conflict.verb in conflict.allowed_actions and "phase" not in verb:
                    raise AssertionError(f"refused what is allowed: {conflict}") from conflict
            except (JobNotFound, KnowledgeBaseNotFound, StoreUnavailable):
                pass
            except Busy:  # a search has its time limit, also on a machine that has too much to do
                if verb != "ask":
                    raise
        _note(riot.notes, verb)
        await anyio.sleep(dice.random() ** 3 * 0.3)


async def _give(flow: PhaseFlow, kb: str, verb: str, riot: Riot, dice: random.Random) -> None:
    phase = dice.choice(list(JobPhase)) if "phase" in verb else None
    if verb == "start":
        hold = [dice.choice(list(JobPhase))] if dice.random() < 0.2 else []
        await flow.start(kb, riot.folder, full=dice.random() < 0.1, hold=hold, settings=SETTINGS)
    elif verb == "anew":
        await flow.delete_kb(kb)
        await flow.start(kb, riot.folder, settings=SETTINGS)
    elif verb == "ask":
        await flow.search(kb, "word7x3 again")
    elif verb.startswith("pause"):
        await flow.pause(kb, phase)
    elif verb.startswith("resume"):
        await flow.resume(kb, phase)
    elif verb == "cancel":
        await flow.cancel(kb)
    else:
        await flow.retry(kb)


def _note(notes: Path, verb: str) -> None:
    with notes.open("a") as file:
        file.write(f"{verb}\n")
