"""Values of a wrong kind: refused with the name of the parameter and what it takes, and nothing is changed."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from phaseflow.domain.errors import InvalidRequest, KnowledgeBaseNotFound
from phaseflow.domain.settings import FolderSource, WebSource
from phaseflow.flow import PhaseFlow, Reader

Call = Callable[[Any, Any], Awaitable[object]]
NO_TEXT: list[Any] = [None, 5, b"kb", ["kb"], {}, "\ud800"]
NO_NUMBER: list[Any] = [None, "5", 1.5, True, [5]]


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[PhaseFlow]:
    (tmp_path / "docs").mkdir()
    async with PhaseFlow(tmp_path / "kb.db", slots=0) as flow:
        await flow.put_kb("kb", tmp_path / "docs")
        await flow.put_kb("sent", {"type": "upload"})
        yield flow


async def refused(call: Callable[[], Awaitable[object]]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        await call()
    return refusal.value


ON_A_KB: dict[str, Call] = {
    "start": lambda flow, kb: flow.start(kb, "docs"),
    "put_kb": lambda flow, kb: flow.put_kb(kb, "docs"),
    "kb": lambda flow, kb: flow.kb(kb),
    "delete_kb": lambda flow, kb: flow.delete_kb(kb),
    "status": lambda flow, kb: flow.status(kb),
    "job": lambda flow, kb: flow.job(kb),
    "jobs": lambda flow, kb: flow.jobs(kb),
    "failures": lambda flow, kb: flow.failures(kb),
    "count_failures": lambda flow, kb: flow.count_failures(kb),
    "documents": lambda flow, kb: flow.documents(kb),
    "search": lambda flow, kb: flow.search(kb, "x"),
    "pause": lambda flow, kb: flow.pause(kb),
    "resume": lambda flow, kb: flow.resume(kb),
    "cancel": lambda flow, kb: flow.cancel(kb),
    "retry": lambda flow, kb: flow.retry(kb),
    "add_documents": lambda flow, kb: flow.add_documents(kb, [("a.md", b"a")]),
    "remove_document": lambda flow, kb: flow.remove_document(kb, "a.md"),
}


async def test_a_kb_id_is_text(flow: PhaseFlow) -> None:
    for name, call in ON_A_KB.items():
        for wrong in NO_TEXT:
            error = await refused(lambda call=call, wrong=wrong: call(flow, wrong))  # type: ignore[misc]  # bound in the loop
            assert error.field == "kb_id", (name, wrong)


OTHERS: dict[str, tuple[str, Call, list[Any]]] = {
    "start.source": ("source", lambda flow, value: flow.start("kb", value), [5, b"docs", ["docs"], True]),
    "put_kb.source": ("source", lambda flow, value: flow.put_kb("kb", value), [5, b"docs", ["docs"], True]),
    "start.settings": ("settings", lambda flow, value: flow.start("kb", settings=value), [5, "{}", [], [("a", 1)]]),
    "put_kb.settings": ("settings", lambda flow, value: flow.put_kb("kb", None, value), [5, "{}", []]),
    "start.hold": ("hold", lambda flow, value: flow.start("kb", hold=value), [None, 5, "embedding", {"loading": 1}]),
    "start.hold.0": ("hold.0", lambda flow, value: flow.start("kb", hold=[value]), [None, 5, "sleeping", []]),
    "start.full": ("full", lambda flow, value: flow.start("kb", full=value), [None, 1, "no", []]),
    "pause.phase": ("phase", lambda flow, value: flow.pause("kb", value), [5, "sleeping", []]),
    "act.action": ("action", lambda flow, value: flow.act(value, "kb"), [None, 5, "sleep", "start", []]),
    "kbs.limit": ("limit", lambda flow, value: flow.kbs(value), NO_NUMBER),
    "jobs.limit": ("limit", lambda flow, value: flow.jobs("kb", value), NO_NUMBER),
    "failures.limit": ("limit", lambda flow, value: flow.failures("kb", value), NO_NUMBER),
    "documents.limit": ("limit", lambda flow, value: flow.documents("kb", value), NO_NUMBER),
    "search.limit": ("limit", lambda flow, value: flow.search("kb", "x", value), NO_NUMBER),
    "kbs.cursor": ("cursor", lambda flow, value: flow.kbs(1, value), [*NO_TEXT[1:], "zzz", "7"]),
    "jobs.cursor": ("cursor", lambda flow, value: flow.jobs("kb", 1, value), [*NO_TEXT[1:], "zzz", "after:x"]),
    "failures.cursor": ("cursor", lambda flow, value: flow.failures("kb", 1, value), [*NO_TEXT[1:], "zzz", "7"]),
    "documents.cursor": ("cursor", lambda flow, value: flow.documents("kb", 1, value), [*NO_TEXT[1:], "zzz", "7"]),
    "documents.q": ("q", lambda flow, value: flow.documents("kb", q=value), [*NO_TEXT, "x" * 201]),
    "search.query": ("q", lambda flow, value: flow.search("kb", value), NO_TEXT),
    "job_status": ("job_id", lambda flow, value: flow.job_status(value), NO_TEXT),
    "transitions_of": ("job_id", lambda flow, value: flow.transitions_of(value), NO_TEXT),
    "transitions.after": ("after", lambda flow, value: anext(flow.transitions(value)), [-1, *NO_NUMBER[1:]]),
    "transitions.kb_id": ("kb_id", lambda flow, value: anext(flow.transitions(0, value)), [*NO_TEXT[1:], "No Name!"]),
    "files": ("files", lambda flow, value: flow.add_documents("sent", value), [None, 5, "a.md", b"a", {"a.md": b"a"}]),
    "files.0": ("files", lambda flow, value: flow.add_documents("sent", [value]), [None, 5, b"a", [], ("a", "text")]),
    "documents_named.uris": (
        "uris",
        lambda flow, value: flow.documents_named("kb", value),
        ["abc", b"abc", 5, {}, [5]],
    ),
    "add.text": (
        "documents.0.text",
        lambda flow, value: flow.add("sent", [{"uri": "a", "text": value}]),
        [None, 5, b"x"],
    ),
    "add.uri": (
        "documents.0.uri",
        lambda flow, value: flow.add("sent", [{"uri": value, "text": "x"}]),
        [None, 5, b"x"],
    ),
    "vacuum.rebuild": ("rebuild", lambda flow, value: flow.vacuum(rebuild=value), [None, 1, "x"]),
    "backup.path": ("path", lambda flow, value: flow.backup(value), [None, 5, b"copy.db", "\ud800"]),
    "backup.check": ("check", lambda flow, value: flow.backup("copy.db", check=value), [None, 1, "x"]),
    "start.allow_deletes": ("allow_deletes", lambda flow, value: flow.start("kb", allow_deletes=value), [None, 1, "x"]),
    "start.sources": ("sources", lambda flow, value: flow.start("kb", sources=value), [5, "docs", ["docs"]]),
    "remove_document.uri": ("uri", lambda flow, value: flow.remove_document("sent", value), NO_TEXT),
}


async def test_a_value_of_a_wrong_kind_is_named(flow: PhaseFlow) -> None:
    for name, (field, call, wrong) in OTHERS.items():
        for value in wrong:
            error = await refused(lambda call=call, value=value: call(flow, value))  # type: ignore[misc]  # bound in the loop
            assert error.field == field, (name, value)
            assert not {"NoneType", "int", "str", "dict"} & set(str(error).split()), "no words of Python"
        assert (await flow.jobs("kb")).items == (await flow.jobs("sent")).items == [], name


async def test_the_message_says_what_to_give(flow: PhaseFlow) -> None:
    call: Call = ON_A_KB["kb"]
    assert str(await refused(lambda: call(flow, 5))) == "kb_id: must be a string, not a number"
    start: Call = OTHERS["start.source"][1]
    assert str(await refused(lambda: start(flow, 5))).endswith("of its JSON shape, not a number")


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("settings", {"settings": []}),
        ("slots", {"slots": "2"}),
        ("slots", {"slots": -1}),
        ("only", {"only": "kb"}),
        ("only", {"only": [5]}),
        ("allow_private", {"allow_private": "localhost"}),
    ],
)
async def test_an_engine_is_not_made_with_a_wrong_kind(tmp_path: Path, field: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        PhaseFlow(tmp_path / "kb.db", **options)
    assert refusal.value.field == field


async def test_a_reader_refuses_the_same(flow: PhaseFlow) -> None:
    async with Reader(flow.path) as reader:
        call: Call = ON_A_KB["documents"]
        assert (await refused(lambda: call(reader, None))).field == "kb_id"


async def test_the_failures_of_nobody_are_not_counted(flow: PhaseFlow) -> None:
    with pytest.raises(KnowledgeBaseNotFound):
        await flow.count_failures("nobody")


@pytest.mark.parametrize("address", ["https://example.org/docs", "Http://example.org/docs", "HTTPS://EXAMPLE.org"])
async def test_a_string_that_begins_like_a_web_address_is_one(flow: PhaseFlow, address: str) -> None:
    source = (await flow.put_kb("site", address)).source
    assert isinstance(source, WebSource)
    assert [str(url).rstrip("/") for url in source.urls] == [address.lower()]


async def test_a_path_is_a_folder_whatever_its_name(flow: PhaseFlow) -> None:
    assert (await refused(lambda: flow.put_kb("site", Path("http:") / "x"))).field == "source.path"


async def test_a_folder_is_told_as_it_was_given_and_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A")
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        monkeypatch.chdir(tmp_path)
        assert (await flow.put_kb("kb", "docs")).source == FolderSource("docs")
        monkeypatch.chdir("/")
        assert (await (await flow.start("kb")).wait()).metrics.documents_loaded == 1
        job = await flow.start("kb", hold=["loading"])
        shutil.rmtree(tmp_path / "docs")
        await flow.resume("kb")
        failed = await job.wait()
        assert "there is no folder docs;" in str(failed.error)
        assert str(tmp_path) not in failed.model_dump_json()
        with pytest.raises(InvalidRequest, match="no folder 'docs'"):
            await flow.start("kb")


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 3000, "\0", "~nobody-has-this-name/x"])
async def test_a_folder_that_no_system_can_have_is_not_there(flow: PhaseFlow, path: str) -> None:
    assert (await refused(lambda: flow.put_kb("kb", path))).field == "source.path"
