"""The benchmarks: each stands in its page, and a peer that is not installed is a row that says so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, text_of


def _run(*arguments: object) -> str:
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100).stdout


def test_each_benchmark_stands_in_its_page() -> None:
    listed = {line.split()[0] for line in _run().splitlines()}
    assert "peers" in listed
    assert set(re.findall(r"^\| `python -m benchmarks (\w+)", text_of("BENCHMARKS.md"), re.MULTILINE)) == listed


@pytest.mark.longest(60)
@pytest.mark.thorough
def test_a_peer_that_is_not_installed_is_a_row_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# One\n\nThe first.\n", "utf-8")
    (tmp_path / "two.md").write_text("# Two\n\nThe second, which is longer.\n", "utf-8")
    found = _run("peers", tmp_path, "--rounds", 1, "--only", "bare,CocoIndex", "--python", sys.executable)
    rows = [line for line in found.splitlines() if line.startswith("| CocoIndex")]
    assert len(rows) == 2
    assert all("not measured: ModuleNotFoundError: No module named 'cocoindex'" in row for row in rows)
    assert "| bare script | 2 embedded, replaced | gone | 2 of 2 embedded | none |" in found


def test_the_requirements_of_the_peers_name_ranges_of_versions_and_no_host() -> None:
    text = (ROOT / "benchmarks" / "peers" / "requirements.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z-]+>=[\d.]+,<[\d.]+", line) for line in lines)
