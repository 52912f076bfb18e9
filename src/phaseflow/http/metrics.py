"""What Prometheus scrapes: facts read from the engine at each scrape, and counts of the requests."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from phaseflow.domain.vocabulary import JobStatus
from phaseflow.flow import PhaseFlow

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class _Items:
    """What one phase has done, over all jobs."""

    phase: str
    results: dict[str, int]
    active_s: float


@dataclass(frozen=True, slots=True)
class _Facts:
    """How the engine stands at one instant. ``jobs`` counts the newest job of each knowledge base by its status."""

    jobs: Counter[JobStatus]
    items: list[_Items]
    feed_clients: int
    writer_queue: int
    embedding_calls: int
    embedding_errors: int
    embedded_characters: int


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._facts = _FactsCollector()
        self._registry.register(self._facts)
        self._requests = Histogram(
            "phaseflow_http_request_seconds",
            "Time to answer a request; for a stream, its length.",
            ["method", "route", "status"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def record(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count one request."""
        self._requests.labels(method, route, str(status)).observe(duration_s)

    async def render(self, flow: PhaseFlow, streams: int) -> bytes:
        """The text that Prometheus reads."""
        self._facts.facts = await _facts(flow, streams)
        return generate_latest(self._registry)


async def _facts(flow: PhaseFlow, streams: int) -> _Facts:
    totals = await flow.totals()
    calls, errors, characters = flow.embedding_calls
    return _Facts(
        jobs=Counter(status.status for status in await flow.latest()),
        items=[
            _Items(t.phase, {"processed": t.processed, "failed": t.failed, "reused": t.reused}, t.active_s)
            for t in totals
        ],
        feed_clients=streams + flow.tracker.feed.clients,
        writer_queue=flow.writer_queue,
        embedding_calls=calls,
        embedding_errors=errors,
        embedded_characters=characters,
    )


class _FactsCollector(Collector):
    facts: _Facts | None = None

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        if self.facts is None:
            return
        yield from _jobs(self.facts)
        yield from _phases(self.facts)
        yield from _engine(self.facts)


def _jobs(facts: _Facts) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("phaseflow_jobs", "Newest jobs of the knowledge bases, by status.", labels=["status"])
    for status in JobStatus:
        jobs.add_metric([status], facts.jobs[status])
    yield jobs


def _phases(facts: _Facts) -> Iterator[Metric]:
    items = CounterMetricFamily("phaseflow_items", "_Items done by a phase.", labels=["phase", "result"])
    seconds = CounterMetricFamily("phaseflow_phase_seconds", "Running time of a phase.", labels=["phase"])
    for phase in facts.items:
        for result, count in phase.results.items():
            items.add_metric([phase.phase, result], count)
        seconds.add_metric([phase.phase], phase.active_s)
    yield items
    yield seconds


def _engine(facts: _Facts) -> Iterator[Metric]:
    yield GaugeMetricFamily("phaseflow_feed_clients", "Open subscriptions to the live feed.", facts.feed_clients)
    yield GaugeMetricFamily("phaseflow_writer_queue", "Writes that wait for the database.", facts.writer_queue)
    yield CounterMetricFamily("phaseflow_embedding_calls", "Calls to embedders.", facts.embedding_calls)
    yield CounterMetricFamily("phaseflow_embedding_errors", "Calls to embedders that failed.", facts.embedding_errors)
    yield CounterMetricFamily(
        "phaseflow_embedded_characters", "Characters that embedders answered.", facts.embedded_characters
    )
