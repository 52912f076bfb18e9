"""What other tests of the process may have left behind."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what needs the server of the SDK unless it is run: to import that takes a second of each process."""
    is_left_out = collection_path.name == "test_conformance.py" and "not adapters" in config.option.markexpr
    return True if is_left_out else None


@pytest.fixture(autouse=True)
def no_server_has_been_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """sse-starlette ends all streams of a process for good once a signal has stopped any of its servers."""
    sse = pytest.importorskip("sse_starlette.sse", reason="needs the development group: mcp")
    monkeypatch.setattr(sse.AppStatus, "should_exit", False)
