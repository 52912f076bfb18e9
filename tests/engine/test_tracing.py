"""Spans, in the SDK's own in-memory exporter."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from phaseflow.domain import tracing
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.flow import PhaseFlow
from tests.http.service import documents, serving
from tests.stopwatch import fail_soon

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
WITHIN_S = 20


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator["InMemorySpanExporter"]:
    pytest.importorskip("opentelemetry.sdk", reason="needs the development group: opentelemetry-sdk")
    from opentelemetry.sdk.trace import TracerProvider  # here: it takes long, and each process reads this module
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("phaseflow"))
    yield exporter
    provider.shutdown()


def _named(exporter: "InMemorySpanExporter", name: str) -> list["ReadableSpan"]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def _is_below(span: "ReadableSpan", others: list["ReadableSpan"]) -> bool:
    return span.parent is not None and span.parent.span_id in {other.context.span_id for other in others}


async def test_a_job_is_a_tree_of_phases_batches_and_calls(exporter: "InMemorySpanExporter", tmp_path: Path) -> None:
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        with fail_soon(WITHIN_S):
            job = await flow.start("waf", documents(tmp_path / "docs"))
            await job.wait()
            await flow.search("waf", "manual")
    (root,) = _named(exporter, "job")
    phases, batches = _named(exporter, "phase"), _named(exporter, "batch")
    assert (root.parent, dict(root.attributes or {})) == (
        None,
        {"phaseflow.job": job.job_id, "phaseflow.kb": "waf"},
    )
    assert {str((span.attributes or {})["phaseflow.phase"]) for span in phases} == {
        "loading", "chunking", "embedding", "indexing",
    }  # fmt: skip
    assert all(_is_below(span, [root]) for span in phases)
    assert {(span.attributes or {})["phaseflow.phase"] for span in batches} >= {"loading", "chunking", "embedding"}
    assert all(_is_below(span, phases) for span in batches)
    asked, searched = _named(exporter, "embedding call"), _named(exporter, "search")
    assert [_is_below(span, batches) or _is_below(span, searched) for span in asked] == [True] * len(asked)
    assert any(_is_below(span, searched) for span in asked)
    assert any(_is_below(span, batches) for span in asked)


async def test_a_request_brings_its_trace_to_the_search_and_to_the_job_it_starts(
    exporter: "InMemorySpanExporter", tmp_path: Path
) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db", check_source=None)) as service:
        body = {"source": {"type": "folder", "path": str(documents(tmp_path / "docs"))}}
        start = await service.http.post("/api/ingestion/kb/waf/start", json=body, headers=PARENT)
        assert start.status_code == 202
        with fail_soon(WITHIN_S):
            await (await service.flow.job("waf")).wait()
        found = await service.http.get("/api/ingestion/kb/waf/search", params={"q": "manual"}, headers=PARENT)
        assert found.status_code == 200
        await _searched_without(service.http)
    of_trace = [span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == TRACE]
    assert {span.name for span in of_trace} == {"job", "phase", "batch", "embedding call", "search"}
    assert len(_named(exporter, "search")) == 2
    assert len([span for span in of_trace if span.name == "search"]) == 1


async def _searched_without(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/api/ingestion/kb/waf/search", params={"q": "manual"})).status_code == 200


async def test_a_phase_that_fails_is_a_span_that_failed(exporter: "InMemorySpanExporter", tmp_path: Path) -> None:
    def fail(texts: list[str]) -> list[list[float]]:
        raise ComponentUnavailable("no key")

    class Embedder:
        fingerprint = "none"
        embed_documents = staticmethod(fail)

    async with PhaseFlow(tmp_path / "kb.db", embedder=Embedder()) as flow:
        with fail_soon(WITHIN_S):
            final = await (await flow.start("waf", documents(tmp_path / "docs"))).wait()
    assert final.status == "failed"
    spans = {(span.attributes or {})["phaseflow.phase"]: span for span in _named(exporter, "phase")}
    assert spans["embedding"].status.is_ok is False
    assert any(event.name == "exception" for event in spans["embedding"].events)
