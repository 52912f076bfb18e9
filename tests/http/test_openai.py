"""OpenAI's files and vector stores, over plain HTTP: what clients of that protocol send and are answered."""

import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from phaseflow import FolderSource
from phaseflow.components.uploads import UploadLimits
from phaseflow.flow import PhaseFlow
from phaseflow.http.openai import requests
from phaseflow.store.kept_files import KeptFileRows
from phaseflow.store.transaction import Transaction
from tests.engine.test_search import Asked, raising
from tests.http.processes import process
from tests.http.service import Service, http_client, serving, until
from tests.ports import free_port

V1 = "/v1"
STORES = f"{V1}/vector_stores"
FRUIT = {"a.md": "# Apples\n\nApples are red.", "b.txt": "Bananas are yellow.", "c.txt": "Cherries are dark."}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    limits = UploadLimits(file_bytes=2_000_000)
    async with serving(PhaseFlow(tmp_path / "kb.db", uploads=limits)) as service:
        yield service


async def send_file(http: httpx2.AsyncClient, name: str, data: bytes, **fields: str) -> httpx2.Response:
    return await http.post(f"{V1}/files", files={"file": (name, data)}, data={"purpose": "assistants", **fields})


async def sent(http: httpx2.AsyncClient, name: str, text: str | None = None) -> str:
    answer = await send_file(http, name, (FRUIT[name] if text is None else text).encode())
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def ask(http: httpx2.AsyncClient, method: str, path: str, status: int = 200, **options: Any) -> dict[str, Any]:
    answer = await http.request(method, path, **options)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def store_with(http: httpx2.AsyncClient, *names: str, **body: Any) -> tuple[str, list[str]]:
    """A vector store whose files are all done."""
    ids = [await sent(http, name) for name in names]
    store = await ask(http, "POST", STORES, json={"name": "Fruit", "file_ids": ids, **body})
    await until(lambda: is_done(http, store["id"]))
    return store["id"], ids


async def is_done(http: httpx2.AsyncClient, store: str) -> bool:
    return bool((await ask(http, "GET", f"{STORES}/{store}"))["status"] == "completed")


async def start_held(flow: PhaseFlow, store: str, phase: str) -> None:
    """Start a job that waits before a phase, once the one that took the documents has ended."""
    await (await flow.job(store)).wait()
    await flow.start(store, hold=[phase])


async def test_a_file_is_kept_shown_read_and_deleted(service: Service) -> None:
    http, data = service.http, bytes(range(256)) * 3000  # several parts
    answer = await send_file(http, "dir/Bericht für 2026.bin", data)
    file = answer.json()
    assert file | {"id": "", "created_at": 0} == {
        "id": "", "object": "file", "bytes": len(data), "created_at": 0, "filename": "Bericht für 2026.bin",
        "purpose": "assistants", "status": "processed", "status_details": None, "expires_at": None,
    }  # fmt: skip
    path = f"{V1}/files/{file['id']}"
    assert await ask(http, "GET", path) == file
    assert (await http.get(f"{path}/content")).content == data
    assert (await ask(http, "GET", f"{V1}/files"))["data"] == [file]
    assert (await ask(http, "DELETE", path)) == {"id": file["id"], "object": "file", "deleted": True}
    missing = await ask(http, "GET", path, 404)
    assert (missing["error"]["type"], missing["error"]["code"]) == ("invalid_request_error", "file_not_found")
    assert await service.flow._engine.hub.database.read(lambda tx: tx.rows("SELECT id FROM kept_parts")) == []


async def test_files_are_paged_in_both_orders_and_by_purpose(service: Service) -> None:
    http = service.http
    ids = [await sent(http, name) for name in FRUIT]
    await send_file(http, "x", b"x", purpose="user_data")
    first = await ask(http, "GET", f"{V1}/files", params={"order": "asc", "limit": 2})
    assert ([file["id"] for file in first["data"]], first["has_more"], first["last_id"]) == (ids[:2], True, ids[1])
    rest = await ask(http, "GET", f"{V1}/files", params={"order": "asc", "after": ids[1], "purpose": "assistants"})
    assert ([file["id"] for file in rest["data"]], rest["has_more"]) == (ids[2:], False)
    newest = await ask(http, "GET", f"{V1}/files", params={"purpose": "user_data"})
    assert [file["filename"] for file in newest["data"]] == ["x"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "fun"}, "purpose"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "5"}, "expires_after.seconds"),
        ({"expires_after[seconds]": "4000"}, "expires_after.anchor"),
    ],
)
async def test_a_file_that_is_refused_leaves_nothing(service: Service, fields: dict[str, str], param: str) -> None:
    answer = await send_file(service.http, "a", b"text" * 200_000, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    rows = "SELECT number FROM kept_files UNION ALL SELECT id FROM kept_parts"
    assert await service.flow._engine.hub.database.read(lambda tx: tx.rows(rows)) == []


async def test_a_file_may_be_as_long_as_a_document_and_no_longer(service: Service) -> None:
    assert (await send_file(service.http, "a", bytes(2_000_000))).status_code == 200
    answer = await send_file(service.http, "b", bytes(2_000_001))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "upload_too_large")


async def test_files_that_come_at_the_same_time_leave_each_other_alone(service: Service) -> None:
    ids: list[str] = []

    async def send(number: int) -> None:
        ids.append(await sent(service.http, f"{number}.txt", f"Text {number}."))

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(send, number)
    listed = (await ask(service.http, "GET", f"{V1}/files"))["data"]
    assert sorted(file["id"] for file in listed) == sorted(ids)


async def test_what_was_broken_off_or_has_expired_goes_before_the_next_file_comes(service: Service) -> None:
    flow, http = service.flow, service.http
    expired = (
        await send_file(http, "a", b"text", **{"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"})
    ).json()
    assert expired["expires_at"] == expired["created_at"] + 3600
    kept = await sent(http, "a.md")

    def age(tx: Transaction) -> None:
        tx.run("UPDATE kept_files SET expires_at = '2020-01-01T00:00:00.000Z' WHERE id = ?", expired["id"])
        number = KeptFileRows(tx).begin("file-broken", "broken", datetime(2020, 1, 1, tzinfo=UTC))
        KeptFileRows(tx).add_part(number, 0, b"half")

    await flow._engine.hub.database.write(age)
    await ask(http, "GET", f"{V1}/files/{expired['id']}", 404)
    await ask(http, "GET", f"{V1}/files/file-broken", 404)
    later = await sent(http, "b.txt")
    found = await flow._engine.hub.database.read(lambda tx: tx.rows("SELECT id FROM kept_files ORDER BY number"))
    assert [row[0] for row in found] == [kept, later]
    assert await flow._engine.hub.database.read(lambda tx: tx.value("SELECT count(*) FROM kept_parts")) == 2


async def test_a_vector_store_is_a_knowledge_base_and_its_files_are_documents(service: Service) -> None:
    http = service.http
    store, ids = await store_with(http, "a.md", "b.txt", metadata={"team": "green"})
    shown = await ask(http, "GET", f"{STORES}/{store}")
    assert shown["file_counts"] == {"in_progress": 0, "completed": 2, "failed": 0, "cancelled": 0, "total": 2}
    assert (shown["object"], shown["name"], shown["metadata"]) == ("vector_store", "Fruit", {"team": "green"})
    assert shown["usage_bytes"] == sum(len(FRUIT[name]) for name in ("a.md", "b.txt"))
    documents = (await service.flow.documents(store)).items
    assert [document.uri for document in documents] == [f"{ids[0]}/a.md", f"{ids[1]}/b.txt"]
    assert [hit.uri for hit in await service.flow.search(store, "yellow", 1)] == [f"{ids[1]}/b.txt"]


async def test_knowledge_bases_of_other_faces_are_vector_stores(service: Service) -> None:
    taken = await service.flow.add(
        "notes", [{"uri": "n.md", "text": "A note about pears.", "metadata": {"tags": ["x", "y"]}}]
    )
    await until(lambda: is_done(service.http, "notes"))
    assert taken.uris == ["n.md"]
    [file] = (await ask(service.http, "GET", f"{STORES}/notes/files"))["data"]
    assert (file["id"][:4], file["attributes"]) == ("doc_", {"tags": "x, y"})
    assert await ask(service.http, "GET", f"{STORES}/notes/files/{file['id']}") == file
    [found] = (await ask(service.http, "POST", f"{STORES}/notes/search", json={"query": "pears"}))["data"]
    assert (found["file_id"], found["filename"]) == (file["id"], "n.md")


async def test_a_store_uses_what_its_files_use_whatever_holds_them(service: Service, tmp_path: Path) -> None:
    (docs := tmp_path / "docs").mkdir()
    (docs / "plums.md").write_text("# Plums\n\nA note about plums.\n")
    await service.flow.add("notes", [{"uri": "n.md", "text": "A note about pears."}])
    job = await service.flow.start("notes", sources={"garden": FolderSource(str(docs))})
    assert (await job.wait()).status == "completed"
    await until(lambda: is_done(service.http, "notes"))
    files = (await ask(service.http, "GET", f"{STORES}/notes/files"))["data"]
    assert len(files) == 2
    used = (await ask(service.http, "GET", f"{STORES}/notes"))["usage_bytes"]
    assert used == sum(file["usage_bytes"] for file in files) > (docs / "plums.md").stat().st_size


async def test_vector_stores_are_paged_with_cursors(service: Service) -> None:
    http = service.http
    ids = [(await ask(http, "POST", STORES, json={"name": name}))["id"] for name in "abcd"]
    assert [each["id"] for each in (await ask(http, "GET", STORES))["data"]] == ids[::-1]
    page = await ask(http, "GET", STORES, params={"order": "asc", "limit": 2, "after": ids[0]})
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids[1:3], True)
    before = await ask(http, "GET", STORES, params={"order": "asc", "limit": 2, "before": ids[3]})
    assert ([each["id"] for each in before["data"]], before["has_more"]) == (ids[1:3], True)
    await ask(http, "GET", STORES, 400, params={"after": ids[0], "before": ids[1]})
    await ask(http, "GET", STORES, 404, params={"after": "nothing"})


async def test_a_vector_store_is_changed_and_deleted_while_its_job_is_open(service: Service) -> None:
    http = service.http
    store, _ = await store_with(http, "a.md", metadata={"a": "b"})
    changed = await ask(http, "POST", f"{STORES}/{store}", json={"name": "Other"})
    assert (changed["name"], changed["metadata"]) == ("Other", {"a": "b"})
    await start_held(service.flow, store, "loading")
    assert (await ask(http, "DELETE", f"{STORES}/{store}"))["object"] == "vector_store.deleted"
    error = (await ask(http, "GET", f"{STORES}/{store}", 404))["error"]
    assert error["code"] == "kb_not_found"
    assert store in error["message"]


async def test_files_of_a_store_are_listed_by_status_in_pages(service: Service) -> None:
    http = service.http
    ids = [
        *[await sent(http, name) for name in FRUIT],
        (await send_file(http, "d.bin", bytes(range(200)))).json()["id"],
    ]
    store = (await ask(http, "POST", STORES, json={"file_ids": ids}))["id"]
    await until(lambda: is_done(http, store))
    path = f"{STORES}/{store}/files"

    async def listed(**params: Any) -> list[str]:
        return [file["id"] for file in (await ask(http, "GET", path, params=params))["data"]]

    assert await listed() == ids[::-1]
    assert await listed(order="asc", limit=2) == ids[:2]
    assert await listed(order="asc", after=ids[1], limit=1) == [ids[2]]
    assert await listed(before=ids[0], limit=2) == [ids[2], ids[1]]
    assert await listed(filter="failed") == [ids[3]]
    assert await listed(filter="completed", order="asc", limit=2) == ids[:2]
    assert await listed(filter="in_progress") == []
    failed = await ask(http, "GET", f"{path}/{ids[3]}")
    assert (failed["status"], failed["last_error"]["code"]) == ("failed", "unsupported_file")


async def test_attributes_are_metadata_that_a_search_is_filtered_by(service: Service) -> None:
    http = service.http
    store, _ = await store_with(http, "a.md")
    id_ = await sent(http, "b.txt")
    path = f"{STORES}/{store}/files"
    added = await ask(
        http, "POST", path, json={"file_id": id_, "attributes": {"colour": "yellow", "n": 3, "ripe": True}}
    )
    assert (added["id"], added["attributes"]) == (id_, {"colour": "yellow", "n": 3, "ripe": True})
    await until(lambda: is_done(http, store))

    async def found(**body: Any) -> list[str]:
        answer = await ask(http, "POST", f"{STORES}/{store}/search", json={"query": "fruit", **body})
        return [each["filename"] for each in answer["data"]]

    wanted = {
        "type": "and",
        "filters": [{"type": "eq", "key": "ripe", "value": True}, {"type": "gte", "key": "n", "value": 3}],
    }
    assert await found(filters=wanted) == ["b.txt"]
    refused = await ask(http, "POST", f"{path}/{id_}", 400, json={"attributes": {"title": "mine"}})
    assert refused["error"]["param"].startswith("attributes")
    await ask(http, "POST", f"{path}/{id_}", json={"attributes": {"n": 2}})
    assert await found(filters=wanted) == []
    assert await found(filters={"type": "lt", "key": "n", "value": 3}) == ["b.txt"]
    assert (await ask(http, "GET", f"{path}/{id_}/content"))["data"] == [{"type": "text", "text": FRUIT["b.txt"]}]
    await ask(http, "DELETE", f"{path}/{id_}")
    assert await found() == ["a.md"]
    await ask(http, "GET", f"{path}/{id_}", 404)
    await ask(http, "GET", f"{V1}/files/{id_}")


async def test_several_queries_are_ranked_together_and_none_is_rewritten(service: Service) -> None:
    http = service.http
    store, _ = await store_with(http, *FRUIT)
    path = f"{STORES}/{store}/search"
    body = {"query": ["yellow bananas", "dark cherries"], "max_num_results": 2, "rewrite_query": True}
    answer = await ask(http, "POST", path, json=body)
    assert {each["filename"] for each in answer["data"]} == {"b.txt", "c.txt"}
    assert answer["search_query"] == body["query"]
    scores = [each["score"] for each in answer["data"]]
    assert scores == sorted(scores, reverse=True)
    threshold = {"query": "yellow bananas", "ranking_options": {"score_threshold": scores[0]}}
    assert len((await ask(http, "POST", path, json=threshold))["data"]) <= 1
    refused: list[dict[str, Any]] = [
        {"query": ""},
        {"query": []},
        {"query": "x", "max_num_results": 51},
        {"query": "x", "filters": {"type": "?"}},
    ]
    for wrong in refused:
        assert (await ask(http, "POST", path, 400, json=wrong))["error"]["type"] == "invalid_request_error"


async def test_a_filter_that_cannot_be_read_is_named_as_the_protocol_names_it(service: Service) -> None:
    store, _ = await store_with(service.http)
    one = {"type": "eq", "key": "n", "value": 1}
    nested: dict[str, Any] = one
    for _ in range(20):
        nested = {"type": "and", "filters": [nested]}
    wrong = {
        "filters.type": {"type": "?"},
        "filters.value": {"type": "eq", "key": "n"},
        "filters.filters.1.key": {"type": "or", "filters": [one, {"type": "eq", "value": 1}]},
        "filters": {"type": "and", "filters": [one] * 1000},
        "filters.filters": {"type": "and", "filters": []},
    }
    for param, filters in [*wrong.items(), (None, nested)]:
        asked = {"query": "x", "filters": filters}
        error = (await ask(service.http, "POST", f"{STORES}/{store}/search", 400, json=asked))["error"]
        assert error["param"] == param or (param is None and error["param"].startswith("filters."))
        assert error["message"].startswith(error["param"])


async def test_a_batch_is_followed_listed_and_cancelled(service: Service) -> None:
    http = service.http
    store, _ = await store_with(http)
    path = f"{STORES}/{store}/file_batches"
    ids = [await sent(http, name) for name in FRUIT]
    batch = await ask(http, "POST", path, json={"files": [{"file_id": id_, "attributes": {"n": 1}} for id_ in ids]})

    async def is_over() -> bool:
        return bool((await ask(http, "GET", f"{path}/{batch['id']}"))["status"] != "in_progress")

    await until(is_over)
    shown = await ask(http, "GET", f"{path}/{batch['id']}")
    assert (shown["status"], shown["file_counts"]["completed"], shown["file_counts"]["total"]) == ("completed", 3, 3)
    page = await ask(http, "GET", f"{path}/{batch['id']}/files", params={"order": "asc", "limit": 2})
    assert ([file["id"] for file in page["data"]], page["has_more"]) == (ids[:2], True)
    before = await ask(
        http, "GET", f"{path}/{batch['id']}/files", params={"order": "asc", "before": ids[2], "limit": 1}
    )
    assert ([file["id"] for file in before["data"]], before["has_more"]) == (ids[1:2], True)
    after = await ask(http, "GET", f"{path}/{batch['id']}/files", params={"after": ids[1], "filter": "completed"})
    assert ([file["id"] for file in after["data"]], after["has_more"]) == (ids[:1], False)
    await ask(http, "GET", f"{path}/{batch['id']}/files", 400, params={"after": "file-nothing"})
    await ask(http, "GET", f"{path}/vsfb_nothing", 404)
    assert (await ask(http, "POST", f"{path}/{batch['id']}/cancel"))["status"] == "completed"


async def test_a_cancelled_batch_is_left_out_until_it_is_added_again(service: Service) -> None:
    http = service.http
    store, _ = await store_with(http, "a.md")
    path = f"{STORES}/{store}/file_batches"
    await start_held(service.flow, store, "embedding")
    id_ = await sent(http, "b.txt")
    batch = await ask(http, "POST", path, json={"file_ids": [id_]})
    assert batch["status"] == "in_progress"
    cancelled = await ask(http, "POST", f"{path}/{batch['id']}/cancel")
    assert (cancelled["status"], cancelled["file_counts"]["cancelled"]) == ("cancelled", 1)
    await service.flow.resume(store)
    await (await service.flow.job(store)).wait()
    assert (await ask(http, "GET", f"{STORES}/{store}"))["file_counts"]["cancelled"] == 1
    await ask(http, "POST", f"{STORES}/{store}/files", json={"file_id": id_})
    await until(lambda: is_done(http, store))
    assert (await ask(http, "GET", f"{STORES}/{store}/files/{id_}"))["status"] == "completed"


async def test_large_batches_are_read_and_changed_in_groups(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phaseflow.http.openai.adding.TOGETHER", 2)
    monkeypatch.setattr("phaseflow.http.openai.objects.POLL_AFTER_MS_A_FILE", 100)
    http = service.http
    store, _ = await store_with(http, "a.md")
    path = f"{STORES}/{store}/file_batches"
    ids = [await sent(http, f"{n}.txt", f"Fruit {n}.") for n in range(3)]
    await start_held(service.flow, store, "embedding")
    batch = await ask(http, "POST", path, json={"file_ids": ids})
    assert batch["file_counts"]["in_progress"] == 3
    assert (await http.get(f"{path}/{batch['id']}")).headers["openai-poll-after-ms"] == "300"  # seldom for many files
    cancelled = await ask(http, "POST", f"{path}/{batch['id']}/cancel")
    assert (cancelled["status"], cancelled["file_counts"]["cancelled"]) == ("cancelled", 3)
    page = await ask(http, "GET", f"{path}/{batch['id']}/files", params={"filter": "cancelled", "limit": 2})
    assert ([file["id"] for file in page["data"]], page["has_more"]) == (ids[:0:-1], True)
    again = await ask(http, "POST", path, json={"file_ids": ids})
    assert again["file_counts"]["in_progress"] == 3


async def test_a_client_that_polls_behind_a_cancelled_job_is_not_kept_waiting(service: Service) -> None:
    http = service.http
    store, _ = await store_with(http, "a.md")
    await start_held(service.flow, store, "embedding")
    id_ = await sent(http, "b.txt")
    await ask(http, "POST", f"{STORES}/{store}/files", json={"file_id": id_})
    await service.flow.cancel(store)

    async def is_cancelled() -> bool:
        return bool((await ask(http, "GET", f"{STORES}/{store}/files/{id_}"))["status"] == "cancelled")

    await until(is_cancelled)


async def test_a_deleted_file_goes_from_all_vector_stores(service: Service) -> None:
    http = service.http
    store, [id_, _] = await store_with(http, "a.md", "b.txt")
    other = (await ask(http, "POST", STORES, json={"file_ids": [id_]}))["id"]
    await ask(http, "DELETE", f"{V1}/files/{id_}")
    assert (await ask(http, "GET", f"{STORES}/{store}"))["file_counts"]["total"] == 1
    assert (await ask(http, "GET", f"{STORES}/{other}"))["file_counts"]["total"] == 0


async def test_a_static_strategy_is_taken_by_an_empty_store_and_refused_by_another(service: Service) -> None:
    http = service.http
    id_, store = await sent(http, "a.md"), (await ask(http, "POST", STORES))["id"]
    static = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 20}}
    path = f"{STORES}/{store}/files"
    added = await ask(http, "POST", path, json={"file_id": id_, "chunking_strategy": static})
    assert added["chunking_strategy"] == static
    settings = (await service.flow.kb(store)).settings
    assert settings.chunk_size == 200 * requests.CHARACTERS_A_TOKEN
    await ask(http, "POST", path, json={"file_id": id_, "chunking_strategy": static})
    await ask(http, "POST", path, json={"file_id": id_, "chunking_strategy": {"type": "auto"}})
    static["static"] = {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}
    refused = await ask(http, "POST", path, 400, json={"file_id": id_, "chunking_strategy": static})
    assert (refused["error"]["code"], "200 tokens" in refused["error"]["message"]) == ("not_offered", True)
    static["static"] = {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 401}
    await ask(http, "POST", path, 400, json={"file_id": id_, "chunking_strategy": static})


async def test_an_expired_vector_store_says_so_until_it_is_given_more_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = service.http
    store, _ = await store_with(http, "a.md", expires_after={"anchor": "last_active_at", "days": 1})
    shown = await ask(http, "GET", f"{STORES}/{store}")
    assert shown["expires_at"] == shown["last_active_at"] + 86_400
    note = await service.flow.notes.get(store, "vector_store")
    old = json.loads(note or "") | {"expires_after_days": -1}
    await service.flow.notes.put(store, "vector_store", json.dumps(old))
    assert (await ask(http, "GET", f"{STORES}/{store}"))["status"] == "expired"
    refused = await ask(http, "POST", f"{STORES}/{store}/search", 400, json={"query": "red"})
    assert refused["error"]["code"] == "vector_store_expired"
    await ask(http, "POST", f"{STORES}/{store}", json={"expires_after": {"anchor": "last_active_at", "days": 7}})
    assert (await ask(http, "POST", f"{STORES}/{store}/search", json={"query": "red"}))["data"]


async def test_what_is_not_there_changes_nothing(service: Service) -> None:
    http = service.http
    await ask(http, "POST", STORES, 404, json={"file_ids": ["file-nothing"]})
    assert (await ask(http, "GET", STORES))["data"] == []
    store = (await ask(http, "POST", STORES))["id"]
    id_ = await sent(http, "a.md")
    await ask(http, "POST", f"{STORES}/{store}/file_batches", 404, json={"file_ids": [id_, "file-nothing"]})
    await ask(http, "POST", f"{STORES}/{store}/files", 400, json={"file_id": id_, "attributes": {"title": "mine"}})
    assert (await ask(http, "GET", f"{STORES}/{store}"))["file_counts"]["total"] == 0


async def test_what_this_service_cannot_do_is_an_error_that_says_so(service: Service) -> None:
    for method, path in (
        ("POST", "embeddings"), ("POST", "chat/completions"), ("GET", "responses/resp_1"), ("GET", "models/gpt-5"),
        ("DELETE", "threads/thread_1"), ("POST", "uploads/upload_1/complete"), ("GET", "videos"),
    ):  # fmt: skip
        refused = await ask(service.http, method, f"{V1}/{path}", 400)
        assert (refused["error"]["code"], path in refused["error"]["message"]) == ("not_offered", True), path


async def test_errors_of_all_kinds_have_the_form_of_the_protocol(service: Service) -> None:
    http = service.http
    for method, path, status in [("GET", "/nothing", 404), ("PUT", "/files", 405), ("POST", "/files", 415)]:
        error = (await ask(http, method, V1 + path, status))["error"]
        assert set(error) == {"message", "type", "param", "code"}
    unknown = await ask(http, "POST", STORES, 400, json={"colour": "red"})
    assert unknown["error"]["param"] == "colour"
    assert (await http.get("/api/nothing")).headers["content-type"] == "application/problem+json"


async def test_ids_and_names_that_can_be_none_are_refused(service: Service) -> None:
    http = service.http
    for id_ in ("vs_ABC", "..x", "vs_" + "a" * 100):
        error = (await ask(http, "GET", f"{STORES}/{id_}", 404))["error"]
        assert error["code"] == "kb_not_found"
    kind = {"content-type": "multipart/form-data; boundary=x"}
    for name in (b"a" * 256, b"a\x07b", b"\xff"):
        head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="' + name
        answer = await http.post(f"{V1}/files", content=head + b'"\r\n\r\ntext\r\n--x--\r\n', headers=kind)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    body = b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n' + b"y" * 100_000 + b"\r\n--x--\r\n"
    answer = await http.post(f"{V1}/files", content=body, headers=kind)
    assert (answer.status_code, "65,536" in answer.json()["error"]["message"]) == (400, True)
    cut = await http.post(f"{V1}/files", content=body[:80], headers=kind)
    assert (cut.status_code, "middle" in cut.json()["error"]["message"]) == (400, True)


async def test_with_a_token_only_its_key_is_let_in(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db"), token="a-token-of-the-server") as service:
        refused = await ask(service.http, "GET", STORES, 401, headers={"authorization": "Bearer another-key"})
        assert refused["error"]["type"] == "authentication_error"
        await ask(service.http, "GET", STORES, headers={"authorization": "Bearer a-token-of-the-server"})


async def test_files_and_stores_outlive_a_kill(tmp_path: Path) -> None:
    port = free_port()
    with process(tmp_path, port) as first:
        await first.ready()
        async with http_client(first.url) as http:
            id_ = await sent(http, "a.md")
            store = (await ask(http, "POST", STORES, json={"name": "kept"}))["id"]
            await first.stop(signal.SIGKILL)
    with process(tmp_path, port) as second:
        await second.ready()
        async with http_client(second.url) as http:
            assert (await http.get(f"{V1}/files/{id_}/content")).text == FRUIT["a.md"]
            assert (await ask(http, "GET", f"{STORES}/{store}"))["name"] == "kept"


async def test_a_search_by_words_alone_says_so(tmp_path: Path) -> None:
    embedder = Asked()
    async with serving(PhaseFlow(tmp_path / "kb.db", embedder=embedder)) as service:
        store, _ = await store_with(service.http, "a.md")
        path = f"{STORES}/{store}/search"
        assert (await ask(service.http, "POST", path, json={"query": "apples"}))["degraded"] is None
        embedder.ask = raising(ConnectionRefusedError("nobody there"))
        found = await ask(service.http, "POST", path, json={"query": ["apples", "apples that are red"]})
    assert found["data"]
    assert found["degraded"].startswith("searched by words alone: ")
