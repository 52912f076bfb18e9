"""Random sequences of verbs, faults, crashes and restarts against the real engine on a real file.

After each step the file must not contradict itself, and a paused job must be quiet. At the end everything goes on: what
search sees is what the folder holds, and no vector that was stored was ever asked for again.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from phaseflow import BudgetPolicy, GuardPolicy, JobPhase, JobStatus, PhaseFlow, Policies, RetryPolicy
from phaseflow.domain.errors import JobConflict, JobNotFound, KnowledgeBaseNotFound
from phaseflow.domain.status import JobStatusResponse
from phaseflow.domain.vocabulary import Action
from phaseflow.flow import control
from phaseflow.supervisor import supervisor
from tests.engine.components import write_folder
from tests.matrices import first_of_each
from tests.proof import outcome
from tests.proof.pieces import TROUBLES, PieceOfEmbedder, PieceOfLoader
from tests.proof.test_crash import left_behind
from tests.proof.victim import SETTINGS
from tests.stopwatch import fail_soon
from tests.store.probes import until_removed

T = TypeVar("T")
POLICIES = Policies(
    retry=RetryPolicy(tries=4, first_s=0.005, most_s=0.2),
    budget=BudgetPolicy(in_a_row=5),
    guard=GuardPolicy(rate_limited_s=0.5),
)
UNSHRUNK = (Phase.explicit, Phase.generate)
"""Timing decides, so that a shorter sequence says little, and looking for one takes longer than a test may: what has
failed would not be told."""
QUIET_S = 0.05
"""What would be written would be written within this."""
ANSWER_S = 8
PHASES = st.sampled_from(list(JobPhase))
VERBS = st.sampled_from([Action.PAUSE, Action.RESUME, Action.CANCEL, Action.RETRY])


class Engine(RuleBasedStateMachine):
    """One database file, one folder, one knowledge base, and whatever may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="phaseflow-model-"))
        self.folder = write_folder(self.root / "docs", 8, words=40)
        self.database = self.root / "kb.db"
        self._portal_context = start_blocking_portal("asyncio")
        self.portal: BlockingPortal = self._portal_context.__enter__()
        self.embedder, self.loader = self.portal.call(self._pieces)
        self._written = 0
        self._lives = 0

    @initialize()
    def open(self) -> None:
        self._open(auto_resume=True)

    @rule(hold=st.sets(PHASES, max_size=2), full=st.booleans())
    def start(self, hold: set[JobPhase], full: bool) -> None:
        try:
            self.call(lambda: self.flow.start("kb", self.folder, hold=hold, full=full, settings=SETTINGS))
        except JobConflict as conflict:
            self._check_refusal(conflict, Action.START)

    @rule(verb=VERBS)
    def give(self, verb: Action) -> None:
        self._give(verb, None)

    @rule(verb=st.sampled_from([Action.PAUSE, Action.RESUME]), phase=PHASES)
    def give_a_phase(self, verb: Action, phase: JobPhase) -> None:
        self._give(verb, phase)

    @rule(which=st.sampled_from(["embedder", "loader"]), closed=st.booleans())
    def hang(self, which: str, closed: bool) -> None:
        piece = self.embedder if which == "embedder" else self.loader
        self.portal.call(piece.close if closed else piece.open)

    @rule(which=st.sampled_from(["embedder", "loader"]), trouble=st.sampled_from([None, None, *TROUBLES]))
    def fail(self, which: str, trouble: str | None) -> None:
        (self.embedder if which == "embedder" else self.loader).trouble = trouble

    @rule(deed=st.sampled_from(["change", "add", "delete"]), number=st.integers(0, 7))
    def write(self, deed: str, number: int) -> None:
        self._written += 1
        path = self.folder / f"doc{number:03}.md"
        if deed == "delete" and len(list(self.folder.iterdir())) > 1:
            path.unlink(missing_ok=True)
        elif deed != "delete":
            path.write_text(" ".join(f"written{self._written}x{n}" for n in range(50)))

    @rule(seconds=st.sampled_from([0.005, 0.02, 0.1]))
    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    @rule(auto_resume=st.booleans())
    def restart(self, auto_resume: bool) -> None:
        self._close()
        self._open(auto_resume=auto_resume)

    @rule(auto_resume=st.booleans())
    def crash(self, auto_resume: bool) -> None:
        self._lives += 1
        copy = left_behind(self.database).rename(self.root / f"life{self._lives}.db")
        self._close()
        self.database = self.embedder.database = copy
        self._open(auto_resume=auto_resume)

    @rule()
    def watch_a_paused_job(self) -> None:
        if not self._is_quiet():
            return
        assert (self.embedder.inside, self.loader.inside) == (0, 0)
        before = outcome.rows(self.database)
        time.sleep(QUIET_S)
        assert outcome.rows(self.database) == before

    @invariant()
    def the_file_does_not_contradict_itself(self) -> None:
        if self.database.exists() and hasattr(self, "flow"):
            assert outcome.violations(self.database) == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "flow"):
                self._bring_to_an_end()
        finally:
            self._close()
            self._portal_context.__exit__(None, None, None)
            shutil.rmtree(self.root, ignore_errors=True)

    def status(self) -> JobStatusResponse | None:
        """The status of the newest job."""
        try:
            return self.call(lambda: self.flow.status("kb"))
        except (JobNotFound, KnowledgeBaseNotFound):
            return None

    def _is_quiet(self) -> bool:
        """The job says that it is paused and will not go on by itself."""
        status = self.status()
        return status is not None and status.status is JobStatus.PAUSED and status.is_idle

    def call(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask the engine; it answers in time, whatever happens."""

        async def in_time() -> T:
            with fail_soon(ANSWER_S):
                return await ask()

        return self.portal.call(in_time)

    def _give(self, verb: Action, phase: JobPhase | None) -> None:
        if self.status() is None:
            return
        try:
            after, moved = self.call(lambda: self.flow.act(verb, "kb", phase))
        except JobConflict as conflict:
            self._check_refusal(conflict, verb if phase is None else None)
            return
        if verb is Action.CANCEL:
            assert after.status is JobStatus.CANCELLED
        if verb is Action.PAUSE and phase is None and after.status is JobStatus.RUNNING:
            assert after.requested == "pause"
        if not moved and verb is Action.PAUSE and phase is None:
            assert after.status is JobStatus.PAUSED or after.requested == "pause"

    def _check_refusal(self, conflict: JobConflict, verb: Action | None) -> None:
        if verb in conflict.allowed_actions:
            raise AssertionError(f"refused what is allowed: {conflict}") from conflict

    def _bring_to_an_end(self) -> None:
        for piece in (self.embedder, self.loader):
            piece.trouble = None
            self.portal.call(piece.open)
        if self.status() is not None:
            self.call(self._go_on)
        final = self.call(self._once_more)
        assert final.status is JobStatus.COMPLETED, final.error
        assert outcome.violations(self.database) == []
        self.call(lambda: until_removed(self.flow._engine.hub.database))
        assert outcome.leftovers(self.database) == 0
        seen = {uri: found.content_hash for uri, found in outcome.searchable(self.database).items()}
        assert seen == {
            path.name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in self.folder.iterdir()
        }
        assert self.embedder.paid_again == []

    async def _go_on(self) -> None:
        while (status := await self.flow.status("kb")).status not in {JobStatus.COMPLETED, JobStatus.CANCELLED}:
            hint = self.flow.tracker.feed.hint()
            try:
                if "retry" in status.allowed_actions:
                    await self.flow.retry("kb")
                elif "resume" in status.allowed_actions:
                    await self.flow.resume("kb")
            except JobConflict:
                continue  # it has moved on since we looked
            with anyio.move_on_after(0.2):
                await hint.wait()

    async def _once_more(self) -> JobStatusResponse:
        return await (await self.flow.start("kb", self.folder, settings=SETTINGS)).wait()

    async def _pieces(self) -> tuple[PieceOfEmbedder, PieceOfLoader]:
        return PieceOfEmbedder(self.database), PieceOfLoader(self.folder)

    def _open(self, *, auto_resume: bool) -> None:
        self.flow = PhaseFlow(
            self.database, loader=self.loader, embedder=self.embedder, policies=POLICIES, auto_resume=auto_resume
        )
        self._flow_context = self.portal.wrap_async_context_manager(self.flow)
        self._flow_context.__enter__()

    def _close(self) -> None:
        if hasattr(self, "flow"):
            self._flow_context.__exit__(None, None, None)
            del self.flow


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to verbs and stops do not wait long for what hangs."""
    monkeypatch.setattr(control, "VERB_RESPONSE_S", 0.05)
    monkeypatch.setattr(supervisor, "STOP_S", 0.2)


@pytest.fixture(autouse=True)
def nothing_is_left() -> None:
    """The machine has an event loop of its own, and ends it."""


@pytest.mark.parametrize("examples", first_of_each([3, 12]))
def test_no_sequence_of_verbs_faults_and_crashes_breaks_the_invariants(examples: int) -> None:
    run_state_machine_as_test(
        Engine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, derandomize=True, database=None,
            phases=UNSHRUNK, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.slow
def test_no_long_sequence_breaks_them_either() -> None:
    run_state_machine_as_test(
        Engine,
        settings=settings(
            max_examples=300,
            stateful_step_count=50,
            deadline=None,
            database=None,
            phases=UNSHRUNK,
            suppress_health_check=list(HealthCheck),
        ),
    )
