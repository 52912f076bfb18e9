"""vacuum and backup, as a user types them."""

import json
import re
import stat

import pytest

from tests.cli.commands import Shell


@pytest.mark.thorough
def test_a_copy_can_be_made_while_a_service_has_the_file_and_the_service_vacuums(library: Shell) -> None:
    assert library("ingest", "docs", "--kb", "waf").returncode == 0
    with library.running("serve", "--port", "0", "--json") as service:
        assert service.stdout is not None
        url = json.loads(service.stdout.readline())["url"]
        done = library("backup", "copy.db")
        assert (done.returncode, done.stdout) == (0, "")
        assert "copied" in done.stderr
        held = library("vacuum")
        assert (held.returncode, held.stderr.count("\n")) == (1, 1)
        answer = library.answer("vacuum", "--server", url)
        assert answer["waits_for"] == []
        assert answer["size_bytes"] == (library.here / "phaseflow.db").stat().st_size
        fetched = library.answer("backup", "fetched.db", "--server", url)
        assert fetched["size_bytes"] == (library.here / "fetched.db").stat().st_size
    copy = library.here / "copy.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    for name in ("copy.db", "fetched.db"):
        assert library.answer("search", "waf", "region outage", "--db", name)["hits"]


def test_a_vacuum_without_a_service_writes_the_file_anew(library: Shell) -> None:
    assert library("ingest", "docs", "--kb", "waf").returncode == 0
    library.write("docs/costs.md", "# Prices\n\nOther words.\n")
    assert library("ingest", "docs", "--kb", "waf").returncode == 0
    done = library("vacuum")
    assert done.returncode == 0
    assert done.stderr.startswith("freed ")
    assert b"Measure what each" not in (library.here / "phaseflow.db").read_bytes()


@pytest.mark.parametrize("words", [["vacuum"], ["backup", "copy.db"]])
def test_a_file_that_does_not_exist_is_not_made(shell: Shell, words: list[str]) -> None:
    done = shell(*words)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "there is no database" in done.stderr
    assert list(shell.here.iterdir()) == []


def test_a_backup_never_replaces_a_file(library: Shell) -> None:
    assert library("ingest", "docs", "--kb", "waf").returncode == 0
    library.write("copy.db", "mine")
    done = library("backup", "copy.db")
    assert (done.returncode, "exists already" in done.stderr) == (1, True)
    assert (library.here / "copy.db").read_text() == "mine"


def test_a_backup_of_a_damaged_file_fails_and_leaves_the_older_ones(library: Shell) -> None:
    assert library("ingest", "docs", "--kb", "waf").returncode == 0
    done = library("backup", "monday.db")
    assert (done.returncode, "copied and checked" in done.stderr) == (0, True)
    with (library.here / "phaseflow.db").open("r+b") as file:
        file.seek(4096 * 7)
        file.write(bytes(4096))
    done = library("backup", "tuesday.db")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert re.search(r"phaseflow\.db is damaged.*restore", done.stderr)
    assert sorted(path.name for path in library.here.glob("*day.db*")) == ["monday.db"]
    done = library("backup", "tuesday.db", "--no-check")
    assert (done.returncode, done.stderr.startswith("copied ")) == (0, True)
