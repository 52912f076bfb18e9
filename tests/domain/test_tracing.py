"""What spans cost where OpenTelemetry is absent."""

import subprocess
import sys
import time

import pytest

from phaseflow.domain import tracing

LONGEST_CALL_S = 20e-6
"""Of a span that nobody wants: some tenths of a microsecond, with room for a busy machine."""


def test_without_the_api_a_span_costs_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    tracing._tracer.cache_clear()
    try:
        assert not tracing._tracer()
        batches, calls = tracing.Batches("loading"), 2_000
        spent_s = []
        for _ in range(10):
            began = time.perf_counter()
            for _ in range(calls):
                with tracing.span("batch", phase="loading"):
                    batches.begin()
                    batches.end(None)
            spent_s.append(time.perf_counter() - began)
    finally:
        tracing._tracer.cache_clear()
    assert min(spent_s) / calls < LONGEST_CALL_S  # the least: other programs take of the others


def test_importing_the_library_imports_no_part_of_it() -> None:
    code = (
        "import sys, phaseflow; phaseflow.PhaseFlow; sys.exit(any(n.startswith('opentelemetry') for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
