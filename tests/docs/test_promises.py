"""Promises of the docs that no name or number shows: what a command prints, who sees a tracker's jobs."""

from pathlib import Path

import pytest

from phaseflow import FolderSource, JobPhase, JobStatus, NewDocument, PhaseFlow, PhaseTracker, Reader, Settings
from phaseflow.domain.errors import DatabaseHeld, InvalidRequest
from tests.cli.commands import Shell
from tests.docs.pages import text_of

SEARCH = " ".join(text_of("SEARCH.md").split())
COMMANDS, LIBRARY = " ".join(text_of("COMMAND_LINE.md").split()), " ".join(text_of("LIBRARY.md").split())


def test_an_error_is_one_line_that_begins_with_the_name(tmp_path: Path) -> None:
    assert "An error is one line that begins with `phaseflow:`" in COMMANDS
    done = Shell(tmp_path)("status", "nobody")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("phaseflow: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [["ingest"], ["ingest", "nowhere", "--kb", "docs"], ["nonsense"]])
def test_a_command_that_was_typed_wrong_shows_its_usage_first(tmp_path: Path, words: list[str]) -> None:
    assert "shows its usage first and ends with a line that begins with `Error:`" in COMMANDS
    done = Shell(tmp_path)(*words)
    first, *_, last = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert first.startswith("Usage: phaseflow")
    assert last.startswith("Error: ")


async def test_a_tracker_alone_holds_its_database_and_its_jobs_can_be_read_meanwhile(tmp_path: Path) -> None:
    assert "`phaseflow serve` cannot open the same file until the block ends; `phaseflow status` can read it" in LIBRARY
    path = tmp_path / "pipeline.db"
    async with PhaseTracker.open(path) as tracker:
        await tracker.initialize_phases("night-run", "archive")
        await tracker.start_phase("night-run", JobPhase.LOADING)
        async with Reader(path) as reader:
            assert (await reader.status("archive")).status is JobStatus.RUNNING
        with pytest.raises(DatabaseHeld):
            async with PhaseFlow(path):
                pytest.fail("opened")
    async with PhaseFlow(path) as flow:
        assert (await flow.status("archive")).job_id == "night-run"


async def test_signs_are_found_by_words_only_beside_letters_and_digits(tmp_path: Path) -> None:
    assert "alone it is found by vectors only, and `mode=words` finds nothing" in SEARCH
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        await flow.add("kb", [{"uri": "a.txt", "text": "Party 😀 for 5 € each → see C++ and §12"}])
        await (await flow.job("kb")).wait()
        for sign in ("😀", "€", "→"):
            assert len(await flow.search("kb", sign, mode="words")) == 0
            assert len(await flow.search("kb", sign, mode="vectors")) == 1
        for unit in ("C++", "§12", "5 €"):
            assert len(await flow.search("kb", unit, mode="words")) == 1


async def test_values_that_cannot_be_made_and_their_json_raise_what_names_the_field(tmp_path: Path) -> None:
    assert "as in `FolderSource.path: must be a text`" in LIBRARY
    with pytest.raises(ValueError, match=r"FolderSource\.path: must be a text"):
        FolderSource(5)  # type: ignore[arg-type]  # that is what is tried
    with pytest.raises(InvalidRequest, match=r"NewDocument\.uri: "):
        NewDocument(uri="\ud800", text="x")
    with pytest.raises(InvalidRequest, match=r"Settings\.chunk_size: "):
        Settings(chunk_size=0)
    async with PhaseFlow(tmp_path / "kb.db", slots=0) as flow:
        with pytest.raises(InvalidRequest):
            await flow.put_kb("kb", {"type": "folder", "path": 5})
        with pytest.raises(InvalidRequest):
            await flow.add("kb", [{"uri": "\ud800", "text": "x"}])
        with pytest.raises(InvalidRequest):
            await flow.put_kb("kb", settings={"chunk_size": 0})
