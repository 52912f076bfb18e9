"""Documents over HTTP at any time: texts, files with metadata, and the verbs on one document."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from phaseflow.flow import PhaseFlow
from phaseflow.http import Limits
from tests.http.service import Service, serving
from tests.stopwatch import fail_soon

KB = "/api/ingestion/kb/notes"
TO = f"{KB}/documents"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(PhaseFlow(tmp_path / "kb.db"), limits=Limits(body_bytes=200_000)) as service:
        yield service


async def _push(service: Service, *documents: dict[str, Any]) -> Any:
    answer = await service.http.post(TO, json={"documents": documents})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def _indexed(service: Service, place: str) -> Any:
    with fail_soon(20):
        while (document := (await service.http.get(place)).json())["status"] != "indexed":  # noqa: ASYNC110  # polled, as a program does
            await anyio.sleep(0.02)
    return document


async def _over(service: Service) -> None:
    with fail_soon(20):
        await (await service.flow.job("notes")).wait()


async def test_texts_are_answered_as_objects_in_the_order_sent_with_the_job_that_takes_them(service: Service) -> None:
    said = await _push(
        service, {"uri": "b", "text": "Of letters.", "title": "B", "metadata": {"n": 1, "tags": ["x"]}},
        {"uri": "a", "text": "# A\n\nOf letters.", "media_type": "text/markdown"},
    )  # fmt: skip
    assert [(one["uri"], one["source"]) for one in said["documents"]] == [("b", "push"), ("a", "push")]
    assert said["documents"][0]["metadata"] == {"n": 1, "tags": ["x"]}
    assert said["job"]["kb_id"] == "notes"
    first, second = [await _indexed(service, f"{TO}/{one['id']}") for one in said["documents"]]
    assert (first["title"], second["title"], second["media_type"]) == ("B", "A", "text/markdown")
    assert first["searchable"]


async def test_files_come_with_what_is_said_about_all_of_them(service: Service) -> None:
    files = [("files", ("a.md", b"letters")), ("files", ("b.md", b"more letters"))]
    said = await service.http.post(TO, files=files, data={"metadata": json.dumps({"author": "Ada"})})
    assert [one["metadata"] for one in said.json()["documents"]] == [{"author": "Ada"}] * 2


NOT_KEPT: list[tuple[Any, str]] = [
    ({}, "documents"),
    ({"documents": []}, "documents"),
    ({"documents": [{"uri": "a"}]}, "documents.0.text"),
    ({"documents": [{"uri": "", "text": "x"}]}, "documents.0.uri"),
    ({"documents": [{"uri": "a", "text": "x", "metadata": {"indexed_at": 1}}]}, "documents.0.metadata"),
    ({"documents": [{"uri": "a", "text": "x", "metadata": {"k": None}}]}, "documents.0.metadata"),
    ({"documents": [{"uri": "a", "text": "x", "other": 1}]}, "documents.0.other"),
    ({"documents": [{"uri": "a", "text": "x"}] * 101}, "documents"),
]


async def test_a_push_that_cannot_be_kept_names_the_field_and_keeps_nothing(service: Service) -> None:
    for body, field in NOT_KEPT:
        answer = await service.http.post(TO, json=body)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", field)
        assert (await service.http.get(KB)).status_code == 404, body


async def test_metadata_that_cannot_be_kept_refuses_the_files(service: Service) -> None:
    for said in ("", "[]", "{", json.dumps({"uri": "a"}), json.dumps({"k": "x" * 40_000})):
        answer = await service.http.post(TO, files=[("files", ("a.md", b"letters"))], data={"metadata": said})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), said[:20]
        assert answer.json()["field"].startswith("metadata"), said[:20]
        assert (await service.http.get(KB)).status_code == 404, said[:20]


async def test_texts_that_are_too_much_are_refused_announced_or_not(service: Service) -> None:
    body = json.dumps({"documents": [{"uri": "a", "text": "x" * 200_000}]}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    for content in (body, pieces()):
        answer = await service.http.post(TO, content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_one_document_is_retried_skipped_described_and_deleted_by_its_id(service: Service) -> None:
    (document,) = (await _push(service, {"uri": "a", "text": "Of letters."}))["documents"]
    place = f"{TO}/{document['id']}"
    await _indexed(service, place)
    await _over(service)
    for _ in range(2):
        skipped = await service.http.post(f"{place}/skip")
        assert (skipped.status_code, skipped.json()["status"], skipped.json()["searchable"]) == (202, "skipped", False)
    retried = await service.http.post(f"{place}/retry")
    assert retried.status_code == 202
    assert retried.json()["status"] in {"queued", "processing"}  # a job may have it already
    assert (await _indexed(service, place))["attempts"] == 2
    described = await service.http.patch(place, json={"metadata": {"author": "Ada"}})
    assert (described.status_code, described.json()["metadata"]) == (200, {"author": "Ada"})
    wrong = await service.http.patch(place, json={"metadata": {"source": "x"}})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "metadata")
    assert (await service.http.delete(place)).status_code == 202
    for method, path in (("DELETE", ""), ("POST", "/skip"), ("POST", "/retry"), ("GET", "")):
        gone = await service.http.request(method, f"{place}{path}")
        assert (gone.status_code, gone.json()["code"]) == (404, "document_not_found")


async def test_the_retry_of_a_document_says_that_it_waits_after_a_cancelled_job(service: Service) -> None:
    (document,) = (await _push(service, {"uri": "a", "text": "Of letters."}))["documents"]
    place = f"{TO}/{document['id']}"
    await _indexed(service, place)
    await _over(service)
    assert "message" not in (await service.http.post(f"{place}/retry")).json()
    await _over(service)
    (await service.http.post(f"{KB}/start", json={"hold": ["loading"]})).raise_for_status()
    cancelled = (await service.http.post(f"{KB}/cancel")).json()
    answer = (await service.http.post(f"{place}/retry")).json()
    assert (answer["status"], answer["message"]) == ("queued", "waits for the next start or push")
    assert (await service.http.get(f"{KB}/status")).json()["job_id"] == cancelled["job_id"]


async def test_a_verb_on_one_document_counts_no_others(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    (document,) = (await _push(service, {"uri": "a", "text": "Of letters."}))["documents"]
    place = f"{TO}/{document['id']}"
    await _indexed(service, place)
    await _over(service)

    def counts(*_: object) -> None:
        raise AssertionError("all documents are counted for one")

    monkeypatch.setattr("phaseflow.store.document_counts.counts", counts)
    for verb in ("retry", "skip"):
        assert (await service.http.post(f"{place}/{verb}")).status_code == 202
    assert (await service.http.patch(place, json={"metadata": {}})).status_code == 200
    await _push(service, {"uri": "b", "text": "Of others."})


async def test_a_document_without_a_text_is_known_and_says_so(service: Service) -> None:
    (await service.http.put(KB, json={"source": {"type": "upload"}})).raise_for_status()
    (await service.http.post(f"{KB}/start", json={"hold": ["loading"]})).raise_for_status()
    pushed = await _push(service, {"uri": "a.md", "text": "The letter a."})
    place = f"{TO}/{pushed['documents'][0]['id']}"
    text = await service.http.get(f"{place}/text")
    assert (text.status_code, text.json()["code"]) == (404, "no_text")
    assert "nothing was extracted from" in text.json()["detail"]
    assert (await service.http.get(f"{place}/chunks")).json() == {"items": [], "next_cursor": None}


async def test_a_push_is_taken_while_a_job_is_paused_and_waits_for_it(service: Service) -> None:
    (await service.http.put(KB, json={"source": {"type": "upload"}})).raise_for_status()
    (await service.http.post(f"{KB}/start", json={"hold": ["loading"]})).raise_for_status()
    (await service.http.post(f"{KB}/pause")).raise_for_status()
    said = await _push(service, {"uri": "a", "text": "Of letters."})
    assert (said["job"]["status"], said["documents"][0]["status"]) == ("paused", "queued")
    (await service.http.post(f"{KB}/resume")).raise_for_status()
    await _indexed(service, f"{TO}/{said['documents'][0]['id']}")


NAMES = (
    "a b",
    "ä/ö?x=1&y#z",
    "%2e%2e/x",
    "../etc",
    "日本　語.md",
    "می\u200cخواهم.md",
    "👨\u200d👩\u200d👧.md",
    "x\u00a0y",
    "a" * 2048,
)
HIDING = ("", " ", "\u200b", "a\nb", "a\x00b", "a\u202eb", "a\u200b.md", "\ufeffz.md", "a\u00adb.md", "a" * 2049)


async def test_a_document_is_found_by_whatever_name_it_was_given(service: Service) -> None:
    for uri in NAMES:
        pushed = (await _push(service, {"uri": uri, "text": "A letter."}))["documents"][0]
        assert (await service.http.get(f"{TO}/{pushed['id']}")).json()["uri"] == uri
        again = await service.http.post(TO, files=[("uri", (None, uri)), ("files", ("file", b"A letter."))])
        assert [each["id"] for each in again.json()["documents"]] == [pushed["id"]], uri
        assert (await service.http.delete(TO, params={"uri": uri})).status_code == 202, uri


async def test_a_name_that_hides_something_is_refused(service: Service) -> None:
    for uri in HIDING:
        answer = await service.http.post(TO, json={"documents": [{"uri": uri, "text": "A letter."}]})
        assert (answer.status_code, answer.json()["field"]) == (422, "documents.0.uri"), uri


@pytest.mark.parametrize(
    "parts",
    [
        [("uri", (None, "a")), ("uri", (None, "b")), ("files", ("file", b"x"))],
        [("files", ("file", b"x")), ("uri", (None, "a"))],
    ],
)
async def test_a_uri_belongs_to_the_file_behind_it(service: Service, parts: Any) -> None:
    answer = await service.http.post(TO, files=parts)
    assert (answer.status_code, answer.json()["field"]) == (422, "uri")
    assert (await service.http.get(KB)).status_code == 404


async def test_what_is_empty_beyond_64_bits_or_no_number_is_told_as_that(service: Service) -> None:
    for source in ({"type": "folder", "path": ""}, {"type": "git", "url": ""}, {"type": "web", "urls": [""]}):
        for asked in (
            service.http.put(KB, json={"source": source}),
            service.http.post(f"{KB}/start", json={"source": source}),
        ):
            answer = await asked
            assert answer.status_code == 422, answer.text
            assert answer.json()["field"].startswith("source.")
    pushed = await _push(service, {"uri": "a", "text": "Of letters."})
    place = f"{TO}/{pushed['documents'][0]['id']}"
    huge = await service.http.patch(place, json={"metadata": {"n": 2**64}})
    assert "must be a number of 64 bits" in huge.json()["detail"]
    score = await service.http.get(f"{KB}/search", params={"q": "letters", "min_score": "nan"})
    assert "must be a number between 0 and 1" in score.json()["detail"]
    await _over(service)
    (await service.http.post(f"{place}/skip")).raise_for_status()
    text = await service.http.get(f"{place}/text")
    assert (text.status_code, "is skipped" in text.json()["detail"]) == (404, True)
    (await service.http.put(KB, json={"settings": {"sync": {}}})).raise_for_status()
    assert "sync" not in (await service.http.get(KB)).json()["settings"]
