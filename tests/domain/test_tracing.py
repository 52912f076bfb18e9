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
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)  # known by its name, as if it were imported
    tracing._tracer_of_api.cache_clear()
    try:
        assert not tracing._tracer()
        batches, calls = tracing.Batches("loading"), 2_000
        spent_s = []
        for _ in range(10):
            began = time.thread_time()
            for _ in range(calls):
                with tracing.span("batch", phase="loading"):
                    batches.begin()
                    batches.end(None)
            spent_s.append(time.thread_time() - began)
    finally:
        tracing._tracer_of_api.cache_clear()
    assert min(spent_s) / calls < LONGEST_CALL_S  # the least, of the processor: other programs take of the others


def test_the_api_is_imported_by_whoever_says_where_spans_go_and_not_by_a_span() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs the development group: opentelemetry-sdk")
    code = """
import sys
from phaseflow.domain import tracing
batches = tracing.Batches("loading")
batches.begin()
with tracing.span("job"):
    assert not [name for name in sys.modules if name.startswith("opentelemetry")]
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
seen, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(seen))
trace.set_tracer_provider(provider)
batches.end(None)  # of one that began before
with tracing.span("search"):
    batches.begin()
    batches.end(None)
print([span.name for span in seen.get_finished_spans()])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=100, capture_output=True, text=True)
    assert done.stdout.split() == ["['batch',", "'search']"]


def test_importing_the_library_imports_no_part_of_it() -> None:
    code = (
        "import sys, phaseflow; phaseflow.PhaseFlow; sys.exit(any(n.startswith('opentelemetry') for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=100).returncode == 0
