"""What the reading commands show."""

import time
from datetime import UTC, datetime

import pytest

from phaseflow.cli import reading, tables
from phaseflow.cli.terminal import draw
from phaseflow.domain.settings import FolderSource, Settings
from phaseflow.domain.status import DocumentCounts, KnowledgeBase, Place, SearchHit
from tests.cli.statuses import AT, job


def test_a_hit_shows_its_document_where_in_it_and_its_first_lines() -> None:
    hit = SearchHit(
        document_id="doc_1",
        uri="reliability/regions.md",
        title="Regions",
        text="Plan for it.\n\n" * 200,
        score=0.0321,
        start=10,
        end=2810,
    )
    head, *passage = reading.hit_lines([hit])
    assert head == "1. reliability/regions.md 10–2810  score 0.032  Regions"
    assert passage[0].startswith("   Plan for it. Plan for it.")
    assert len(passage) == 4
    assert passage[-1].endswith("…")


@pytest.mark.parametrize(
    ("zone", "shown"), [("UTC", "2026-07-01 22:30:00"), ("CET-1CEST,M3.5.0,M10.5.0/3", "2026-07-02 00:30:00")]
)
def test_times_are_shown_by_the_clock_of_whoever_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], zone: str, shown: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        draw(tables.jobs([job(started_at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))]))
    time.tzset()
    assert shown in capsys.readouterr().err


def test_a_hit_names_other_places_of_the_same_text() -> None:
    places = [Place(uri=uri, start=0, end=9) for uri in ("b.md", "b.md", "c.md", "d.md", "e.md", "f\x1b[2J.md", "g.md")]
    hit = SearchHit(document_id="doc_1", uri="a.md", title="", text="The same", score=1, start=0, end=8, also_in=places)
    assert list(reading.hit_lines([hit]))[-1] == "   also in b.md, c.md, d.md, e.md and 2 more"
    hit.also_in[4:] = [Place(uri="f\x1b[2J.md", start=0, end=9)]
    assert "\x1b" not in list(reading.hit_lines([hit]))[-1]


def test_a_passage_does_not_steer_the_terminal() -> None:
    hit = SearchHit(document_id="doc_1", uri="a", title="", text="\x1b[2Jgone", score=1, start=0, end=8)
    assert "\x1b" not in "".join(reading.hit_lines([hit]))


def test_all_kbs_are_listed_also_one_that_never_ran(capsys: pytest.CaptureFixture[str]) -> None:
    kb = KnowledgeBase(
        kb_id="waf",
        source=FolderSource("docs"),
        sources={},
        settings=Settings(),
        indexed_with=None,
        stale=[],
        documents=1202,
        chunks=3456,
        counts=DocumentCounts(),
        created_at=AT,
        updated_at=AT,
        job=job(message="Loading 3 documents", progress=45.0),
    )
    draw(tables.kbs([kb, kb.model_copy(update={"kb_id": "new", "job": None})]))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1,202" in captured.err
    assert "45 %" in captured.err
    assert "Loading 3 documents" in captured.err
    assert "never ran" in captured.err


def test_the_history_has_one_row_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    draw(tables.jobs([job(), job(job_id="job-0", status="completed", completed_at=AT)]))
    rows = capsys.readouterr().err.splitlines()
    assert len(rows) == 3
    assert rows[2].startswith("job-0")


def test_documents_that_failed_are_seen_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    draw(tables.jobs([job(metrics={"documents_failed": 5})]))
    kb = KnowledgeBase(
        kb_id="waf",
        source=None,
        sources={},
        settings=Settings(),
        indexed_with=None,
        stale=[],
        documents=54,
        chunks=60,
        counts=DocumentCounts(failed=5),
        created_at=AT,
        updated_at=AT,
        job=job(),
    )
    draw(tables.kbs([kb]))
    head, row = (line.split() for line in capsys.readouterr().err.splitlines()[-2:])
    assert row[head.index("failed") + 1] == "5"  # "0 %" are two words
