"""What is refused changes nothing: each call in each state of the job, looked at from all sides."""

import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from phaseflow import (
    BudgetPolicy,
    FolderSource,
    JobConflict,
    JobStatus,
    NewDocument,
    PhaseFlow,
    PhaseStatus,
    Policies,
    UploadSource,
)
from phaseflow.actors import calls_in_hand
from phaseflow.domain.errors import DocumentError, PhaseflowError, SourceNotAllowed
from phaseflow.domain.vocabulary import PHASES
from phaseflow.flow.inputs import Source
from phaseflow.http import create_app
from phaseflow.store.stop_deadline import StopDeadline
from phaseflow.supervisor import supervisor
from tests.engine.components import CountingEmbedder, write_folder
from tests.http.service import http_client, listening_for
from tests.matrices import first_of_each
from tests.stopwatch import NEVER_S, fail_soon

FORBIDDEN = "/forbidden"
WEBSITE = "http://docs.test/"
MANY = 100
"""Documents, more than are cut together."""


class Chunker:
    """One passage a document. ``blocks`` keeps it inside at the last of ``MANY``; ``broken``: it cuts no more."""

    fingerprint = "whole"

    def __init__(self) -> None:
        self.calls = 0
        self.broken = False
        self.blocks = False
        self.entered = threading.Event()
        self.release = threading.Event()

    def spans(self, text: str, media_type: str) -> Sequence[tuple[int, int]]:
        self.calls += 1
        if self.blocks and self.calls == MANY:
            self.entered.set()
            assert self.release.wait(60)
        if self.broken:
            raise DocumentError("the chunker is broken")
        return [(0, len(text))]


@dataclass
class Scene:
    """A running engine, and what there is to see of it."""

    folder: Path
    database: Path
    embedder: CountingEmbedder = field(default_factory=CountingEmbedder)
    chunker: Chunker = field(default_factory=Chunker)
    looks: int = 0
    """At sources: by the rule of what may be read, and for the address of a website."""

    def __post_init__(self) -> None:
        self.embedder.batch_size = 1
        self.flow = PhaseFlow(
            self.database, embedder=self.embedder, chunker=self.chunker, check_source=self._check, slots=1,
            policies=Policies(budget=BudgetPolicy(in_a_row=1)),
        )  # fmt: skip

    def _check(self, source: Source) -> None:
        self.looks += 1
        if isinstance(source, FolderSource) and source.path == FORBIDDEN:
            raise SourceNotAllowed("it is forbidden")

    def look_up(self, *_: Any, **__: Any) -> Any:
        """Stands in for the name service."""
        self.looks += 1
        raise socket.gaierror("no such host")

    def everything(self) -> dict[str, Any]:
        """All rows of all tables, all files, what the feed has told, and what the components were asked."""
        connection = sqlite3.connect(self.database)
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
        connection.close()
        files = [str(path) for path in self.database.parent.rglob("*")]
        return {
            **rows,
            "files": sorted(name for name in files if not name.endswith(("-wal", "-shm"))),
            "told": dict(self.flow.tracker.feed.revisions()),
            "embedder": (self.embedder.calls, self.embedder.inside),
            "chunker": self.chunker.calls,
        }

    async def until(self, holds: Callable[[Any], bool], kb_id: str = "kb") -> None:
        with fail_soon(10):
            async for status in (await self.flow.job(kb_id)).watch():
                if holds(status):
                    return
        raise AssertionError("the job ended before")

    async def done(self) -> None:
        with fail_soon(10):
            await (await self.flow.start("kb", self.folder)).wait()

    async def hang(self, kb_id: str = "kb") -> None:
        """A job with as many calls to the embedder inside as may be, and nothing else that it could do."""
        self.embedder.close()
        await self.flow.start(kb_id, self.folder)
        with fail_soon(10):
            await self.embedder.until_full()
        await self.until(lambda s: s.phase_details[1].status is PhaseStatus.COMPLETED, kb_id)


async def _unknown(_: Scene) -> None:
    """Nobody has heard of the knowledge base."""


async def _never_ran(scene: Scene) -> None:
    await scene.flow.put_kb("kb", scene.folder)


async def _pending(scene: Scene) -> None:
    await scene.hang("other")
    await scene.flow.start("kb", scene.folder)


async def _running(scene: Scene) -> None:
    await scene.hang()


async def _pausing(scene: Scene) -> None:
    await scene.hang()
    assert (await scene.flow.pause("kb")).requested == "pause"


async def _paused(scene: Scene) -> None:
    await scene.hang()
    await scene.flow.pause("kb")
    scene.embedder.gate.set()
    await scene.until(lambda s: s.status is JobStatus.PAUSED)


async def _held(scene: Scene) -> None:
    await scene.flow.start("kb", scene.folder, hold=["embedding"])
    await scene.until(lambda s: s.status is JobStatus.PAUSED)


async def _failed(scene: Scene) -> None:
    scene.chunker.broken = True
    await scene.done()


async def _failing(scene: Scene) -> None:
    """Failed, while a neighbour of the failed phase still has a call inside."""
    scene.chunker.blocks = True
    scene.embedder.close()
    write_folder(scene.folder, MANY, words=5)
    await scene.flow.start("kb", scene.folder)
    assert await anyio.to_thread.run_sync(scene.chunker.entered.wait, 60)
    with fail_soon(10):
        await scene.embedder.until_called()  # for the first ones, which are stored while it cuts the next
    scene.chunker.broken = True
    scene.chunker.release.set()
    await scene.until(lambda s: s.status is JobStatus.FAILED)
    assert scene.embedder.inside


async def _completed(scene: Scene) -> None:
    await scene.done()


async def _cancelled(scene: Scene) -> None:
    await scene.hang()
    await scene.flow.cancel("kb")


Call = Callable[[Scene], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "start": lambda s: s.flow.start("kb"),
    "start with a folder": lambda s: s.flow.start("kb", s.folder),
    "start with another folder": lambda s: s.flow.start("kb", s.folder.parent, full=True, hold=["loading"]),
    "start with uploads": lambda s: s.flow.start("kb", UploadSource()),
    "start with a website": lambda s: s.flow.start("kb", WEBSITE),
    "start with settings": lambda s: s.flow.start("kb", settings={"chunk_size": 300}),
    "start with a folder that is not there": lambda s: s.flow.start("kb", s.folder / "nowhere"),
    "start with a forbidden folder": lambda s: s.flow.start("kb", FORBIDDEN),
    "start with a phase that is none": lambda s: s.flow.start("kb", s.folder, hold=["reading"]),
    "put": lambda s: s.flow.put_kb("kb", s.folder),
    "put uploads": lambda s: s.flow.put_kb("kb", UploadSource()),
    "put settings": lambda s: s.flow.put_kb("kb", None, {"chunk_size": 300}),
    "put a folder that is not there": lambda s: s.flow.put_kb("kb", s.folder / "nowhere"),
    "put a forbidden folder": lambda s: s.flow.put_kb("kb", FORBIDDEN),
    "put settings that are none": lambda s: s.flow.put_kb("kb", s.folder, {"chunk_size": 0}),
    "delete": lambda s: s.flow.delete_kb("kb"),
    "pause": lambda s: s.flow.pause("kb"),
    "resume": lambda s: s.flow.resume("kb"),
    "cancel": lambda s: s.flow.cancel("kb"),
    "retry": lambda s: s.flow.retry("kb"),
    "add": lambda s: s.flow.add_documents("kb", [("a.md", b"A letter.")]),
    "add a name that cannot be kept": lambda s: s.flow.add_documents("kb", [("a.md", b"A."), ("../b.md", b"B.")]),
    "add nothing": lambda s: s.flow.add_documents("kb", []),
    "add a text": lambda s: s.flow.add("kb", [NewDocument(uri="a", text="A letter.")]),
    "add one that a source has": lambda s: s.flow.add(
        "kb", [{"uri": "a", "text": "A."}, {"uri": "doc000.md", "text": "B."}]
    ),
    "add metadata that is none": lambda s: s.flow.add("kb", [{"uri": "a", "text": "A.", "metadata": {"uri": "b"}}]),
    "remove": lambda s: s.flow.remove_document("kb", "doc000.md"),
    "remove one that is not there": lambda s: s.flow.delete_document("kb", "none"),
    "retry a document": lambda s: s.flow.retry_document("kb", "doc000.md"),
    "skip": lambda s: s.flow.skip_document("kb", "doc000.md"),
    "describe": lambda s: s.flow.set_metadata("kb", "doc000.md", {"a": 1}),
    "describe wrongly": lambda s: s.flow.set_metadata("kb", "doc000.md", {"size": 1}),
    **{f"pause {name}": partial(lambda phase, s: s.flow.pause("kb", phase), name) for name in PHASES},
    **{f"resume {name}": partial(lambda phase, s: s.flow.resume("kb", phase), name) for name in PHASES},
}

_STARTS = {name for name in CALLS if name.startswith("start")} - {
    "start with a folder that is not there", "start with a forbidden folder", "start with a phase that is none",
}  # fmt: skip
_PUTS = {"put", "put uploads", "put settings"}
_PUSHES = {"add", "add a text"}
_VERBS = {*_PUSHES, "retry a document", "skip", "describe"}
_REST = {f"{verb} {phase}" for verb in ("pause", "resume") for phase in ("embedding", "indexing")}
_AT_REST = {*_STARTS, *_PUTS, *_VERBS, "delete"}


@dataclass(frozen=True)
class State:
    """How it comes about, what does something in it, and what is so already; everything else is refused."""

    prepare: Callable[[Scene], Awaitable[None]]
    does: frozenset[str]
    already: frozenset[str] = frozenset()


def _state(prepare: Callable[[Scene], Awaitable[None]], does: set[str], already: set[str] | None = None) -> State:
    return State(prepare, frozenset(does), frozenset(already or ()))


_LIVE = {*_PUTS, *_VERBS, "pause", "cancel"}
STATES = {
    "unknown": _state(
        _unknown,
        {*_STARTS, *_PUTS, *_PUSHES, "add one that a source has"} - {"start", "start with settings", "put settings"},
    ),
    "never ran": _state(_never_ran, {*_STARTS, *_PUTS, *_PUSHES, "delete", "add one that a source has"}),
    "pending": _state(
        _pending,
        {*_PUTS, *_PUSHES, "pause", "cancel", "add one that a source has", *(f"pause {phase}" for phase in PHASES)},
    ),
    "running": _state(
        _running, {*_LIVE, "pause embedding", "pause indexing"}, {"resume", "resume embedding", "resume indexing"}
    ),
    "pausing": _state(_pausing, {*_LIVE, "resume", *_REST} - {"pause"}, {"pause"}),
    "paused": _state(_paused, {*_LIVE, "resume", *_REST} - {"pause"}, {"pause"}),
    "held": _state(
        _held, {*_LIVE, "resume", "resume embedding", "pause indexing"}, {"pause embedding", "resume indexing"}
    ),
    "failed": _state(_failed, {*_AT_REST, "retry"}),
    "failing": _state(_failing, {*_AT_REST, "retry"}),
    "completed": _state(_completed, _AT_REST),
    "cancelled": _state(_cancelled, _AT_REST, {"cancel"}),
}


@pytest.fixture
def scene(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(write_folder(tmp_path / "docs", 3, words=5), database)
    monkeypatch.setattr(socket, "getaddrinfo", scene.look_up)
    # A call that hangs for long is shown by the engine itself, in the middle of whatever is refused then.
    monkeypatch.setattr(calls_in_hand, "SHOWN_AFTER_S", NEVER_S)
    return scene


async def _refused(scene: Scene, call: Call) -> PhaseflowError | None:
    """Make a call that is to change nothing; how it was refused."""
    before, looks = scene.everything(), scene.looks
    refusal = None
    try:
        with fail_soon(5):
            await call(scene)
    except PhaseflowError as error:
        refusal = error
    after = scene.everything()
    assert {name: (before.get(name), seen) for name, seen in after.items() if seen != before.get(name)} == {}
    if isinstance(refusal, JobConflict):
        assert scene.looks == looks, "what the job refuses is refused before its source is looked at"
    return refusal


@pytest.mark.parametrize("name", first_of_each(STATES, lambda name: name in {"running", "pausing", "failed"} and name))
async def test_what_is_refused_changes_nothing(scene: Scene, name: str) -> None:
    state = STATES[name]
    async with scene.flow:
        await state.prepare(scene)
        if name not in {"unknown", "never ran"}:
            allowed = (await scene.flow.status("kb")).allowed_actions
            assert set(allowed) <= state.does | state.already, "the table knows all that does something"
        for call in (name for name in CALLS if name not in state.does):
            refusal = await _refused(scene, CALLS[call])
            assert (refusal is None) == (call in state.already), (call, refusal)
        scene.embedder.gate.set()
        if name == "running":
            await scene.until(lambda s: s.status is JobStatus.COMPLETED)
    assert max(scene.embedder.paid.values(), default=1) == 1, "nothing in hand was dropped and paid for again"


async def test_what_an_engine_that_stops_refuses_changes_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # All parts of the stop take as long as they like: the calls alone may take longer than a stop does.
    limit = StopDeadline.limit
    monkeypatch.setattr(StopDeadline, "limit", lambda self, within_s, **more: limit(self, 30 * within_s, **more))
    monkeypatch.setattr(supervisor, "STOP_S", NEVER_S)
    await scene.flow.__aenter__()
    await _running(scene)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.flow.__aexit__, None, None, None)
        await anyio.wait_all_tasks_blocked()
        for call in (name for name in CALLS if name not in STATES["running"].does):
            await _refused(scene, CALLS[call])
        scene.embedder.gate.set()
    assert max(scene.embedder.paid.values()) == 1


@asynccontextmanager
async def _served(scene: Scene) -> AsyncIterator[Any]:
    async with listening_for(create_app(scene.flow)) as url, http_client(url) as http:
        yield http


OVER_HTTP: list[tuple[str, str, Any, int]] = [
    ("POST", "/start", None, 409),
    ("POST", "/start", {"source": {"type": "folder", "path": "."}}, 409),
    ("POST", "/start", {"source": {"type": "web", "urls": [WEBSITE]}}, 409),
    ("POST", "/retry", None, 409),
    ("POST", "/phases/loading/pause", None, 409),
    ("POST", "/resume", None, 200),
    ("DELETE", "", None, 409),
    ("PUT", "", {"source": {"type": "folder"}}, 422),
]
"""To a job that runs: what is asked, and the answer."""


async def test_what_is_refused_over_http_changes_nothing(scene: Scene) -> None:
    async with scene.flow:
        await _running(scene)
        async with _served(scene) as http:
            for verb, path, body, code in OVER_HTTP:
                looks, answers = scene.looks, []

                async def call(_: Scene, verb: str = verb, path: str = path, body: Any = body) -> None:
                    answers.append(await http.request(verb, f"/api/ingestion/kb/kb{path}", json=body))  # noqa: B023  # called within this turn of the loop

                await _refused(scene, call)
                assert (answers[0].status_code, scene.looks) == (code, looks), answers[0].text
        scene.embedder.gate.set()
