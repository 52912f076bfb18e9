"""ingest through a running service: read there where it can be, else pushed, and followed to its end."""

import json
import signal
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest

from phaseflow import FolderSource
from phaseflow.cli.folder_push import FolderPush
from phaseflow.flow import PhaseFlow
from phaseflow.http import AllowedRoots, create_app
from tests.cli.commands import Shell, ended
from tests.engine.components import CountingEmbedder
from tests.http.service import Service, listening_for, serving, until
from tests.ports import free_port
from tests.stopwatch import fail_soon


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
async def service(tmp_path: Path, embedder: CountingEmbedder) -> AsyncIterator[Service]:
    (tmp_path / "there").mkdir()
    roots = AllowedRoots([tmp_path / "there"])
    async with serving(PhaseFlow(tmp_path / "kb.db", embedder=embedder, check_source=roots)) as service:
        yield service


@pytest.fixture
def here(tmp_path: Path) -> Shell:
    (tmp_path / "here").mkdir()
    return Shell(tmp_path / "here")


async def run(shell: Shell, service: Service, *words: str) -> "subprocess.CompletedProcess[str]":
    with shell.running(*words, "--server", service.url) as process:
        return await anyio.to_thread.run_sync(ended, process)


async def found(service: Service) -> dict[str, str]:
    """(uri, source) of what is searchable."""
    page = await service.flow.documents("k", limit=1000)
    return {one.uri: one.source for one in page.items if one.searchable}


async def test_a_folder_that_the_service_may_read_becomes_its_source(here: Shell, service: Service) -> None:
    folder = here.here.parent / "there"
    (folder / "a.md").write_text("Of letters.")
    done = await run(here, service, "ingest", str(folder), "--kb", "k", "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["status"], last["metrics"]["documents_loaded"]) == ("completed", 1)
    assert await found(service) == {"a.md": "default"}
    (folder / "b.md").write_text("Of numbers.")
    done = await run(here, service, "ingest", str(folder), "--kb", "k")
    assert (done.returncode, "2 documents" in done.stderr) == (0, True), done.stderr
    assert len((await service.flow.kb("k")).sources) == 1


async def test_files_of_any_other_folder_are_pushed_and_only_what_changed(here: Shell, service: Service) -> None:
    for name in ("a.md", "deep/b.md", "left/out.md", "ignored.md", "100%.md"):
        here.write(f"docs/{name}", f"Of {name}.")
    here.write("docs/.gitignore", "ignored.md")
    command = partial(run, here, service, "ingest", "docs", "--kb", "k", "--exclude", "left/")
    done = await command()
    assert done.returncode == 0, done.stderr
    assert "pushed 3 files" in done.stderr
    assert await found(service) == {"100%.md": "push", "a.md": "push", "deep/b.md": "push"}
    assert await service.flow.document_text("k", "deep/b.md") == "Of deep/b.md."
    here.write("docs/a.md", "Of a.md, changed.")
    (here.here / "docs/deep/b.md").unlink()
    jobs = len((await service.flow.jobs("k")).items)
    done = await command()
    assert done.returncode == 0, done.stderr
    assert "pushed 1 file, 1 unchanged" in done.stderr
    assert "removed 1 document" in done.stderr
    assert await found(service) == {"100%.md": "push", "a.md": "push"}
    assert len((await service.flow.jobs("k")).items) == jobs + 1
    for gone in (False, True):  # no job is begun, and the last one is not told of as if it were this command's
        if gone:
            (here.here / "docs/a.md").unlink()
        done = await command()
        told = [line for line in done.stderr.splitlines() if "another embedder" not in line]
        removed = ["removed 1 document gone from the folder"] if gone else []
        assert told == [f"pushed 0 files, {1 if gone else 2} unchanged", *removed]
    last = (await service.flow.status("k")).job_id
    shown = await command("--json")
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [
        {
            "job_id": None, "kb_id": "k", "status": "completed", "message": "Nothing new: 1 unchanged", "pushed": 0,
            "unchanged": 1, "removed": [], "not_pushed": [],
        }
    ]  # fmt: skip
    assert (await service.flow.status("k")).job_id == last
    here.write("docs/a.md", "Of a.md, again.")
    await service.flow.add("k", [{"uri": "mine.md", "text": "Of another sender."}])
    done = await command("--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "completed", done.stderr
    assert "mine.md" in await found(service)


async def test_a_push_to_a_knowledge_base_whose_job_ends_while_the_command_looks_at_it_begins_another(
    here: Shell, service: Service, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder.close()
    await service.flow.add("k", [{"uri": "first.md", "text": "Of the first."}])
    await embedder.until_called()
    first, act = await service.flow.job("k"), service.flow.act
    seen: list[str] = []

    async def act_once_it_has_ended(*args: Any) -> Any:
        embedder.gate.set()
        seen.append((await first.wait()).status)
        return await act(*args)

    monkeypatch.setattr(service.flow, "act", act_once_it_has_ended)
    here.write("docs/a.md", "Of a.")
    done = await run(here, service, "ingest", "docs", "--kb", "k", "--json")
    assert (seen, done.returncode) == (["completed"], 0), done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["status"], last["job_id"] == first.job_id) == ("completed", False)
    assert await found(service) == {"a.md": "push", "first.md": "push"}


async def test_what_is_gone_from_most_of_a_folder_stays_and_nothing_is_begun(here: Shell, service: Service) -> None:
    for number in range(10):
        here.write(f"docs/{number}.md", f"Of {number}.")
    assert (await run(here, service, "ingest", "docs", "--kb", "k")).returncode == 0
    for number in range(10):
        (here.here / f"docs/{number}.md").unlink()
    jobs = (await service.flow.jobs("k")).items
    done = await run(here, service, "ingest", "docs", "--kb", "k")
    assert (done.returncode, "10 of 10 documents" in done.stderr) == (3, True), done.stderr
    assert (len(await found(service)), (await service.flow.jobs("k")).items) == (10, jobs)


async def test_what_is_pushed_with_a_hold_is_held_with_the_settings_given(
    here: Shell, service: Service, embedder: CountingEmbedder
) -> None:
    here.write("docs/a.md", "Of letters. " * 50)
    words = ("--chunk-size", "100", "--chunk-overlap", "0", "--hold", "embedding")
    done = await run(here, service, "ingest", "docs", "--kb", "k", *words)
    assert (done.returncode, embedder.calls) == (3, 0), done.stderr
    assert (await service.flow.kb("k")).settings.chunk_size == 100


async def test_what_is_pushed_takes_the_place_of_all_sources_where_that_is_said(here: Shell, service: Service) -> None:
    folder = here.here.parent / "there"
    (folder / "a.md").write_text("Of letters.")
    here.write("docs/a.md", "Of other letters.")
    await (await service.flow.start("k", FolderSource(str(folder)))).wait()
    done = await run(here, service, "ingest", "docs", "--kb", "k", "--replace")
    assert done.returncode == 0, done.stderr
    assert await found(service) == {"a.md": "push"}


async def test_a_folder_is_known_by_the_path_that_the_service_has_for_it(
    here: Shell, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here.here)  # the service's directory, while it runs in this process
    (here.here.parent / "there" / "a.md").write_text("Of letters.")
    source = FolderSource("../there")
    await service.flow.put_kb("k", source)
    done = await run(here, service, "ingest", str(here.here.parent / "there"), "--kb", "k")
    assert done.returncode == 0, done.stderr
    assert (await service.flow.kb("k")).sources == {"default": source}


async def test_files_that_were_named_are_gone_only_where_they_do_not_exist(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"Of {name}.")
    source, known = FolderSource(str(tmp_path), include=("/a.md",)), dict.fromkeys(("a.md", "b.md", "c.md"), "")
    pushes = [FolderPush(cast("Any", None), "k", source, names_files=named) for named in (True, False)]
    assert [await push.gone(known) for push in pushes] == [["c.md"], ["b.md", "c.md"]]


@pytest.mark.thorough
async def test_most_of_a_folder_is_not_removed_unasked(here: Shell, service: Service) -> None:
    for number in range(12):
        here.write(f"docs/{number}.md", f"Of {number}.")
    assert (await run(here, service, "ingest", "docs", "--kb", "k")).returncode == 0
    for number in range(11):
        (here.here / f"docs/{number}.md").rename(here.here / f"docs/other{number}.md")  # what is new makes up for none
    jobs = (await service.flow.jobs("k")).items
    for _ in range(2):  # what is new is not pushed before the answer: it would make up for what is gone
        done = await run(here, service, "ingest", "docs", "--kb", "k", "--chunk-size", "500")
        assert (done.returncode, "11 of 12 documents" in done.stderr) == (3, True), done.stderr
        assert len(await found(service)) == 12
    assert (await service.flow.jobs("k")).items == jobs
    assert (await service.flow.kb("k")).settings.chunk_size == 1000
    done = await run(here, service, "ingest", "docs", "--kb", "k", "--allow-deletes")
    assert (done.returncode, len(await found(service))) == (0, 12), done.stderr


@pytest.mark.thorough
async def test_files_that_are_named_are_pushed_beside_those_named_before(here: Shell, service: Service) -> None:
    paths = [str(here.write(name, f"Of {name}.")) for name in ("a.md", "b.md")]
    assert (await run(here, service, "ingest", paths[0], "--kb", "k")).returncode == 0
    assert (await run(here, service, "ingest", paths[1], "--kb", "k")).returncode == 0
    assert sorted(await found(service)) == ["a.md", "b.md"]


async def test_a_file_that_cannot_be_pushed_is_named_and_the_others_are_there(here: Shell, service: Service) -> None:
    here.write("docs/a.md", "Of a.md.")
    here.write("docs/a\nb.md", "Of a name in two lines.")
    done = await run(here, service, "ingest", "docs", "--kb", "k")
    assert (done.returncode, "not pushed" in done.stderr) == (1, True), done.stderr
    assert sorted(await found(service)) == ["a.md"]


@pytest.mark.thorough
async def test_settings_hold_and_full(here: Shell, service: Service, embedder: CountingEmbedder) -> None:
    here.write("docs/a.md", "Of letters. " * 50)
    words = ("ingest", "docs", "--kb", "k")
    done = await run(here, service, *words, "--chunk-size", "100", "--chunk-overlap", "0", "--hold", "embedding")
    assert (done.returncode, embedder.calls) == (3, 0), done.stderr
    assert f"paused; phaseflow resume k --server {service.url} goes on" in done.stderr
    assert (await service.flow.kb("k")).settings.chunk_size == 100
    done = await run(here, service, *words)  # the same command goes on
    assert done.returncode == 0, done.stderr
    assert embedder.calls > 0
    attempts = (await service.flow.document("k", "a.md")).attempts
    await service.flow.put_kb("k", settings={"chunk_size": 200, "chunk_overlap": 0})
    done = await run(here, service, *words, "--full")
    assert (done.returncode, "k was indexed with another chunk_size" in done.stderr) == (0, True), done.stderr
    assert (await service.flow.document("k", "a.md")).attempts > attempts


async def test_ctrl_c_pauses_at_the_service_and_the_same_command_goes_on(
    here: Shell, service: Service, embedder: CountingEmbedder
) -> None:
    here.write("docs/a.md", "Of letters. " * 200)
    embedder.close()
    with here.running("ingest", "docs", "--kb", "k", "--server", service.url, "--json") as process:
        with fail_soon(30):
            await embedder.until_called()
        process.send_signal(signal.SIGINT)

        async def is_asked() -> bool:
            return (await service.flow.status("k")).requested == "pause"

        await until(is_asked)
        embedder.gate.set()
        done = await anyio.to_thread.run_sync(ended, process)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "paused"
    assert (await service.flow.status("k")).status == "paused"
    assert (await run(here, service, "ingest", "docs", "--kb", "k")).returncode == 0
    assert sorted(await found(service)) == ["a.md"]


@pytest.mark.thorough
async def test_the_only_source_from_now_on(here: Shell, service: Service) -> None:
    folder = here.here.parent / "there"
    (folder / "a.md").write_text("Of letters.")
    here.write("docs/a.md", "Of other letters.")
    assert (await run(here, service, "ingest", str(folder), "--kb", "k")).returncode == 0
    done = await run(here, service, "ingest", "docs", "--kb", "k")
    assert (done.returncode, "default" in done.stderr) == (1, True), done.stderr  # another source has it
    done = await run(here, service, "ingest", "docs", "--kb", "k", "--replace")
    assert done.returncode == 0, done.stderr
    assert await found(service) == {"a.md": "push"}
    assert await service.flow.document_text("k", "a.md") == "Of other letters."


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--allow-private", "a.test"), "--allow-private is the service's"),
        (("--keep-vectors", "1"), "--keep-vectors is the service's"),
    ],
)
async def test_what_the_service_decides_is_a_usage_error(
    here: Shell, service: Service, words: tuple[str, ...], told: str
) -> None:
    here.write("docs/a.md", "Of letters.")
    done = await run(here, service, "ingest", "docs", "--kb", "k", *words)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


async def test_a_service_that_goes_away_is_waited_for(tmp_path: Path, here: Shell) -> None:
    """The command goes on where it was once the service is back, at the same address."""
    embedder = CountingEmbedder()
    embedder.close()
    here.write("docs/a.md", "Of letters. " * 200)
    roots = AllowedRoots([tmp_path / "nowhere"])
    flow = PhaseFlow(tmp_path / "kb.db", embedder=embedder, check_source=roots)
    port = free_port()
    async with flow, listening_for(create_app(flow), port) as url:
        process_context = here.running("ingest", "docs", "--kb", "k", "--server", url, "--json")
        process = process_context.__enter__()
        with fail_soon(30):
            await embedder.until_called()
    try:
        embedder.gate.set()
        again = PhaseFlow(tmp_path / "kb.db", embedder=embedder, check_source=roots)
        async with again, listening_for(create_app(again), port):
            done = await anyio.to_thread.run_sync(ended, process)

            async def indexed() -> bool:
                return (await again.document("k", "a.md")).status == "indexed"

            await until(indexed)
    finally:
        process_context.__exit__(None, None, None)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "completed"


@pytest.mark.thorough
async def test_a_source_that_was_given_by_a_relative_path_is_known_again(
    tmp_path: Path, here: Shell, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here.here)  # the service's directory, while it runs in this process
    for name in ("a.md", "below/b.md", "draft.md"):
        (tmp_path / "there" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "there" / name).write_text(f"Of {name}.")
    source = FolderSource("../there", exclude=("draft.md",))
    await (await service.flow.start("k", source)).wait()
    for given in ("below/b.md", "."):
        done = await run(here, service, "ingest", str(tmp_path / "there" / given), "--kb", "k", "--exclude", "draft.md")
        assert done.returncode == 0, done.stderr
        kb = await service.flow.kb("k")
        assert kb.sources == {"default": source}
    assert await found(service) == {"a.md": "default", "below/b.md": "default"}
    done = await run(here, service, "ingest", str(tmp_path / "there" / "draft.md"), "--kb", "k")
    assert (done.returncode, "is left out by --exclude" in done.stderr) == (2, True), done.stderr
    assert await found(service) == {"a.md": "default", "below/b.md": "default"}
