"""What other tests of the process may have left behind."""

import pytest


@pytest.fixture(autouse=True)
def no_server_has_been_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """sse-starlette ends all streams of a process for good once a signal has stopped any of its servers."""
    sse = pytest.importorskip("sse_starlette.sse", reason="needs the development group: mcp")
    monkeypatch.setattr(sse.AppStatus, "should_exit", False)
