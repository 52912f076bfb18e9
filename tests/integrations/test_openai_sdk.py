"""The SDK of OpenAI, unchanged, against a service in a process."""

from collections.abc import Iterator

import anyio
import pytest

pytest.importorskip("openai", reason="needs the dependency group adapters")

from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from phaseflow.client import SyncClient
from tests.http.processes import process
from tests.ports import free_port

pytestmark = pytest.mark.adapters

TEXTS = [("a.md", b"# Apples\n\nApples are red."), ("b.txt", b"Bananas are yellow."), ("c.txt", b"Cherries are dark.")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with process(tmp_path_factory.mktemp("service"), free_port()) as service:
        anyio.run(service.ready)
        yield service.url


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_a_store_is_filled_searched_and_emptied(client: OpenAI, url: str) -> None:
    sent = client.files.create(file=TEXTS[0], purpose="assistants")
    assert client.files.content(sent.id).read() == TEXTS[0][1]
    store = client.vector_stores.create(name="Fruit", file_ids=[sent.id], metadata={"team": "green"})
    added = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=TEXTS[1], attributes={"colour": "yellow", "n": 1}
    )
    assert (added.status, added.attributes) == ("completed", {"colour": "yellow", "n": 1})
    batch = client.vector_stores.file_batches.upload_and_poll(store.id, files=[TEXTS[2], ("d.bin", bytes(range(256)))])
    assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 1, 1)
    files = [file.id for file in client.vector_stores.files.list(store.id, limit=1, order="asc")]  # all pages
    assert (len(files), files[:2]) == (4, [sent.id, added.id])
    assert [file.status for file in client.vector_stores.files.list(store.id, filter="failed")] == ["failed"]
    [found] = client.vector_stores.search(store.id, query="Which fruit is yellow?", max_num_results=1)
    assert (found.file_id, found.filename, found.content[0].text) == (added.id, "b.txt", "Bananas are yellow.")
    [text] = client.vector_stores.files.content(added.id, vector_store_id=store.id)
    assert text.text == "Bananas are yellow."
    with SyncClient(url) as phaseflow:
        assert len(phaseflow.documents(store.id).items) == 4
    assert client.vector_stores.files.delete(added.id, vector_store_id=store.id).deleted
    assert client.files.delete(sent.id).deleted
    assert client.vector_stores.retrieve(store.id).file_counts.total == 2
    assert client.vector_stores.delete(store.id).deleted
    with pytest.raises(NotFoundError, match=store.id):
        client.vector_stores.retrieve(store.id)


async def test_the_asynchronous_client_does_the_same(url: str) -> None:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        store = await client.vector_stores.create(name="Fruit")
        batch = await client.vector_stores.file_batches.upload_and_poll(store.id, files=TEXTS)
        assert (batch.status, batch.file_counts.completed) == ("completed", 3)
        added = await client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("d.txt", b"Dates."))
        assert added.status == "completed"
        found = await client.vector_stores.search(store.id, query=["apples", "dates"], max_num_results=2)
        assert {each.filename async for each in found} == {"a.md", "d.txt"}


def test_what_cannot_be_done_is_an_error_of_the_sdk(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="runs no models"):
        client.embeddings.create(model="static", input="x")
    with pytest.raises(BadRequestError) as refused:
        client.vector_stores.create(name="x", expires_after={"anchor": "last_active_at", "days": 9999})
    assert refused.value.param == "expires_after.days"
