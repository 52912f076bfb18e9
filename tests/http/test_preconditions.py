"""A change that is bound to what was read: ``ETag``, ``If-Match`` and ``If-None-Match`` as RFC 9110 has them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from phaseflow import PhaseFlow
from tests.http.service import Service, documents, serving, until

KB = "/api/ingestion/kb/docs"
UPLOAD = {"source": {"type": "upload"}}
OTHER = '"00"'


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as running:
        await running.flow.put_kb("docs", {"type": "upload"})
        yield running


async def tag(service: Service, path: str = KB) -> str:
    found: str = (await service.http.get(path)).headers["etag"]
    return found


async def put(service: Service, chunk_size: int, *headers: tuple[str, str], path: str = KB) -> httpx2.Response:
    body = UPLOAD | {"settings": {"chunk_size": chunk_size}}
    return await service.http.put(path, json=body, headers=list(headers))


async def size(service: Service) -> int:
    return (await service.flow.kb("docs")).settings.chunk_size


def refused(answer: httpx2.Response) -> bool:
    if answer.status_code != 412:
        assert answer.status_code == 200, answer.text
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "precondition_failed"
    assert "'docs'" in answer.json()["detail"]
    return True


async def test_a_change_is_written_only_while_what_was_read_is_still_there(service: Service) -> None:
    before = await tag(service)
    assert (before[0], before[-1]) == ('"', '"')
    assert not refused(await put(service, 400, ("If-Match", before)))
    assert refused(await put(service, 500, ("If-Match", before)))
    assert await size(service) == 400
    assert not refused(await put(service, 500, ("If-Match", await tag(service))))
    assert not refused(await put(service, 600))


async def test_of_two_changes_to_what_both_have_read_one_is_written(service: Service) -> None:
    import anyio

    before, answers = await tag(service), []

    async def change(chunk_size: int) -> None:
        answers.append(refused(await put(service, chunk_size, ("If-Match", before))))

    async with anyio.create_task_group() as tasks:
        for chunk_size in (400, 500, 600):
            tasks.start_soon(change, chunk_size)
    assert sorted(answers) == [False, True, True]


async def test_the_tag_names_the_definition_and_nothing_else(service: Service, tmp_path: Path) -> None:
    seen = [await tag(service)]
    folder = str(documents(tmp_path / "docs"))
    for changed in (
        {"settings": {"chunk_size": 300}},
        {"settings": {"chunk_size": 300, "sync": {"every": "1d"}}},
        {"settings": {"chunk_size": 300, "sync": {"every": "2d"}}},
        {"source": {"type": "folder", "path": folder}},
        {"sources": {"default": {"type": "folder", "path": folder, "include": ["*.txt"]}}},
        {"sources": {"a": {"type": "folder", "path": folder}, "b": {"type": "upload"}}},
    ):
        assert (await service.http.put(KB, json=changed)).status_code == 200
        seen.append(await tag(service))
    assert len(set(seen)) == len(seen)
    shown = (await service.http.get(KB)).json()
    await document(service)  # not the newest job: the knowledge base is kept in step, too, and another may have begun
    assert (await service.http.get(KB)).json()["documents"] > 0
    assert await tag(service) == seen[-1]
    again = await service.http.put(KB, json={"sources": shown["sources"], "settings": shown["settings"]})
    assert again.status_code == 200
    assert await tag(service) == seen[-1]


async def test_the_tag_is_that_of_the_library_and_of_a_head(service: Service) -> None:
    kb = await service.flow.kb("docs")
    assert await tag(service) == f'"{kb.etag}"'
    assert (await service.http.head(KB)).headers["etag"] == f'"{kb.etag}"'


async def test_no_tag_comes_with_the_answer_to_a_put_which_is_not_what_was_sent(service: Service) -> None:
    assert "etag" not in (await put(service, 400)).headers


async def test_what_was_deleted_and_made_anew_is_another_one(service: Service) -> None:
    before = await tag(service)
    await service.flow.delete_kb("docs")
    assert refused(await put(service, 400, ("If-Match", before)))
    assert refused(await put(service, 400, ("If-Match", "*")))
    await service.flow.put_kb("docs", {"type": "upload"})
    assert refused(await put(service, 400, ("If-Match", before)))


async def test_a_condition_does_not_hide_that_there_is_no_such_knowledge_base(service: Service) -> None:
    body = {"settings": {"chunk_size": 400}}
    answer = await service.http.put("/api/ingestion/kb/nobody", json=body, headers={"If-Match": OTHER})
    assert answer.json()["code"] == "kb_not_found"


async def test_if_match_compares_strongly_and_takes_lists(service: Service) -> None:
    for form, holds in (
        ("*", True), ("{tag}", True),
        ("{other}", False), ('""', False), ("", False),
        ("{other}, {tag}", True), ("{tag},{other}", True), (",, {other}\t,,{tag} ,", True), ("{other}, {other}", False),
        ('"a,b", {tag}', True), ('"{bare},"', False), ('"W/{bare}"', False), ('"*"', False),
        ("W/{tag}", False), ("W/{tag}, {tag}", True), ("W/{other}, {other}", False),
    ):  # fmt: skip
        assert await holds_for(service, "If-Match", form) is holds, form


async def test_if_none_match_compares_weakly_and_a_star_is_anything(service: Service) -> None:
    for form, holds in (
        ("*", False), ("{tag}", False), ("W/{tag}", False), ("{other}, W/{tag}", False),
        ("{other}", True), ("W/{other}", True), ("", True), ('"*"', True),
    ):  # fmt: skip
        assert await holds_for(service, "If-None-Match", form) is holds, form


async def holds_for(service: Service, name: str, form: str) -> bool:
    """Whether a change is written; what it says of itself is what becomes of the knowledge base."""
    before = await service.flow.kb("docs")
    field = form.format(tag=f'"{before.etag}"', other=OTHER, bare=before.etag)
    changed = before.settings.chunk_size + 1
    holds = not refused(await put(service, changed, (name, field)))
    assert (await size(service) == changed) is holds
    return holds


async def test_a_star_in_if_none_match_creates_and_never_replaces(service: Service) -> None:
    new = "/api/ingestion/kb/new"
    assert (await put(service, 400, ("If-None-Match", "*"), path=new)).status_code == 200
    assert (await put(service, 500, ("If-None-Match", "*"), path=new)).status_code == 412
    assert (await service.flow.kb("new")).settings.chunk_size == 400


async def test_both_conditions_have_to_hold(service: Service) -> None:
    found = await tag(service)
    assert refused(await put(service, 400, ("If-Match", found), ("If-None-Match", found)))
    assert refused(await put(service, 400, ("If-Match", OTHER), ("If-None-Match", OTHER)))
    assert not refused(await put(service, 400, ("If-Match", found), ("If-None-Match", OTHER)))


async def test_a_header_on_several_lines_is_one_list(service: Service) -> None:
    assert not refused(await put(service, 400, ("If-Match", OTHER), ("If-Match", await tag(service))))


async def test_what_is_no_condition_is_refused_and_not_ignored(service: Service) -> None:
    malformed = [
        "3f9c",
        '"3f9c',
        '3f9c"',
        'w/"3f9c"',
        'W/ "3f9c"',
        '"a" "b"',
        '*, "a"',
        '"a", *',
        "**",
        '"a b"',
        '"a"b"',
    ]
    for name in ("If-Match", "If-None-Match"):
        for field in malformed:
            answer = await put(service, 400, (name, field))
            found = (answer.status_code, answer.json().get("code"), answer.json().get("field"))
            assert found == (422, "invalid_request", name), field
            assert "quotation marks" in answer.json()["detail"]
    assert await size(service) == 1000


async def test_a_change_that_cannot_be_bound_to_a_tag_is_not_made_with_one(service: Service) -> None:
    for name in ("If-Match", "If-None-Match"):
        for method, path in (("DELETE", KB), ("POST", f"{KB}/start"), ("DELETE", f"{KB}/documents?uri=a")):
            answer = await service.http.request(method, path, headers={name: await tag(service)})
            assert (answer.status_code, answer.json()["field"]) == (422, name), path
    assert (await service.http.get(KB, headers={"If-Match": OTHER})).status_code == 200


async def document(service: Service) -> dict[str, Any]:
    await service.flow.add("docs", [{"uri": "note", "text": "# Note", "metadata": {"author": "Ada"}}])

    async def is_over() -> bool:
        return bool((await service.flow.document("docs", "note")).status == "indexed")

    await until(is_over)
    found: dict[str, Any] = (await service.flow.document("docs", "note")).model_dump(mode="json")
    return found


async def test_metadata_are_replaced_only_while_they_are_what_was_read(service: Service) -> None:
    one = f"{KB}/documents/{(await document(service))['id']}"

    async def patch(metadata: dict[str, Any], **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await service.http.patch(one, json={"metadata": metadata}, headers=named)

    before = await tag(service, one)
    assert before == f'"{(await service.flow.document("docs", "note")).etag}"'
    changed = await patch({"author": "Grace"}, If_Match=before)
    assert changed.headers["etag"] == await tag(service, one) != before
    late = await patch({"author": "Edsger"}, If_Match=before)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert "'note'" in late.json()["detail"]
    assert (await patch({"author": "Edsger"}, If_None_Match="*")).status_code == 412
    assert (await patch({"author": "Edsger"}, If_Match="Grace")).status_code == 422
    assert (await service.flow.document("docs", "note")).metadata == {"author": "Grace"}
    assert (await patch({"author": "Ada"}, If_Match="*")).headers["etag"] == before
    assert (await patch({"author": "Edsger"})).status_code == 200


async def test_the_tag_of_a_document_follows_its_metadata_wherever_they_come_from(service: Service) -> None:
    one = f"{KB}/documents/{(await document(service))['id']}"
    before = await tag(service, one)
    await service.flow.retry_document("docs", "note")
    assert await tag(service, one) == before
    await service.flow.add("docs", [{"uri": "note", "text": "# Note", "metadata": {"author": "Grace"}}])
    assert await tag(service, one) != before


async def test_the_description_names_the_tags_and_the_conditions(service: Service) -> None:
    paths = (await service.http.get("/openapi.json")).json()["paths"]
    for path, changing in (("kb/{kb_id}", "put"), ("kb/{kb_id}/documents/{document_id}", "patch")):
        methods = paths[f"/api/ingestion/{path}"]
        taken = {each["name"]: each for each in methods[changing]["parameters"] if each["in"] == "header"}
        assert set(taken) == {"If-Match", "If-None-Match"}
        assert not any(each["required"] for each in taken.values())
        assert "precondition_failed" in methods[changing]["responses"]["412"]["description"]
        assert "ETag" in methods["get"]["responses"]["200"]["headers"]
