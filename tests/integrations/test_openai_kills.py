"""Clients with the SDK of OpenAI while the service is killed again and again: what was answered holds afterwards."""

import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

pytest.importorskip("openai", reason="needs the dependency group adapters")

from openai import APIConnectionError, AsyncOpenAI

from tests.http.processes import process
from tests.http.service import until
from tests.ports import free_port

pytestmark = [pytest.mark.adapters, pytest.mark.longest(180)]

KILLS = 5
CLIENTS = 4
WITHIN_S = 60


@dataclass
class Answered:
    """What clients were told. What a kill has cut off is in none of these, or in ``doubtful``."""

    files: dict[str, bytes] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    inside: dict[str, set[str]] = field(default_factory=dict)
    """The files of each vector store."""
    batches: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    """Files that were asked to go, from a store or altogether, or into a store, without an answer."""


class Worker:
    """One client: a vector store of its own, and files that come and go."""

    def __init__(self, client: AsyncOpenAI, number: int, answered: Answered) -> None:
        self._client = client
        self._answered = answered
        self._random = random.Random(number)  # noqa: S311  # nothing is kept secret by it
        self._mine: list[str] = []
        self._store = ""

    async def step(self) -> None:
        """Make one call, whatever comes of it."""
        chance = self._random
        if not self._store:
            self._store = (await self._client.vector_stores.create(name="mine")).id
            self._answered.inside[self._store] = set()
        elif len(self._mine) < 3 or chance.random() < 0.4:
            await self._send()
        else:
            await chance.choice([self._add, self._add_batch, self._take_out, self._delete, self._search])()

    async def _send(self) -> None:
        body = f"file {self._random.random()} ".encode() * self._random.choice([1, 50, 4000])
        sent = await self._client.files.create(file=(f"{self._random.randint(0, 5)}.txt", body), purpose="assistants")
        self._answered.files[sent.id] = body
        self._mine.append(sent.id)

    async def _add(self) -> None:
        id_ = self._random.choice(self._mine)
        with self._doubting(id_):
            await self._client.vector_stores.files.create(self._store, file_id=id_, attributes={"n": 1})
            self._answered.inside[self._store].add(id_)

    async def _add_batch(self) -> None:
        ids = self._random.sample(self._mine, min(len(self._mine), 6))
        with self._doubting(*ids):
            batch = await self._client.vector_stores.file_batches.create(self._store, file_ids=ids)
            self._answered.inside[self._store] |= set(ids)
            self._answered.batches[self._store, batch.id] = set(ids)

    async def _take_out(self) -> None:
        inside = self._answered.inside[self._store]
        for id_ in [each for each in self._mine if each in inside][:1]:
            with self._doubting(id_):
                await self._client.vector_stores.files.delete(id_, vector_store_id=self._store)
                inside.discard(id_)

    async def _delete(self) -> None:
        id_ = self._mine.pop(self._random.randrange(len(self._mine)))
        with self._doubting(id_):
            await self._client.files.delete(id_)
            self._answered.deleted.add(id_)
            self._answered.inside[self._store].discard(id_)

    async def _search(self) -> None:
        await self._client.vector_stores.search(self._store, query="file", max_num_results=5)

    @contextmanager
    def _doubting(self, *ids: str) -> Iterator[None]:
        self._answered.doubtful |= set(ids)
        yield
        self._answered.doubtful -= set(ids)  # not after an error


async def test_what_was_answered_outlives_kills(tmp_path: Path) -> None:
    port, answered, is_over = free_port(), Answered(), anyio.Event()

    async def work(client: AsyncOpenAI, number: int) -> None:
        worker = Worker(client, number, answered)
        while not is_over.is_set():
            try:
                await worker.step()
            except APIConnectionError:
                await anyio.sleep(0.05)  # until it is back

    url = f"http://127.0.0.1:{port}/v1"
    async with AsyncOpenAI(base_url=url, api_key="any", max_retries=0, timeout=60) as client:
        async with anyio.create_task_group() as clients:
            for number in range(CLIENTS):
                clients.start_soon(work, client, number)
            for kill in range(KILLS):
                with process(tmp_path, port) as service:
                    await service.ready()
                    sent = len(answered.files)

                    async def has_worked(sent: int = sent, more: int = 4 + 3 * kill) -> bool:
                        return len(answered.files) >= sent + more

                    await until(has_worked, WITHIN_S)
                    await service.stop(signal.SIGKILL)
            is_over.set()
        with process(tmp_path, port) as service:
            await service.ready()
            await check(client, answered)


async def check(client: AsyncOpenAI, answered: Answered) -> None:
    async def is_idle() -> bool:
        stores = [await client.vector_stores.retrieve(store) for store in answered.inside]
        return not any(store.file_counts.in_progress for store in stores)

    await until(is_idle, WITHIN_S)
    listed = {file.id async for file in client.files.list()}
    assert not answered.deleted & listed
    for id_ in set(answered.files) - answered.deleted - answered.doubtful:
        assert await (await client.files.content(id_)).aread() == answered.files[id_]
    for store, inside in answered.inside.items():
        files = {file.id: file async for file in client.vector_stores.files.list(store, limit=7)}
        counts = (await client.vector_stores.retrieve(store)).file_counts
        assert inside - answered.doubtful <= set(files)
        assert set(files) <= inside | answered.doubtful
        assert Counter(file.status for file in files.values()) == Counter(completed=counts.completed)
        assert counts.total == counts.completed == len(files)
        for id_ in files:
            text = [part.text or "" async for part in client.vector_stores.files.content(id_, vector_store_id=store)]
            assert "".join(text).strip() == answered.files[id_].decode().strip()
    for (store, batch), ids in answered.batches.items():
        of_batch = (await client.vector_stores.file_batches.retrieve(batch, vector_store_id=store)).file_counts
        assert of_batch.total == of_batch.completed + of_batch.cancelled == len(ids)
