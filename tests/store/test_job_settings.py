"""Which job's settings count where it is asked whether text is recognised in another way than before."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest

from phaseflow.domain.ocr import OcrSettings
from phaseflow.domain.settings import Settings
from phaseflow.store.job_settings import reads_otherwise
from phaseflow.store.schema import schema_sql
from phaseflow.store.transaction import Transaction

PLAIN = Settings().model_dump_json()
RECOGNISED = Settings(ocr=OcrSettings(languages=("en",))).model_dump_json()


@pytest.fixture
def tx() -> Iterator[Transaction]:
    """Two knowledge bases without a job."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema_sql())
        made = Transaction(connection)
        for key in ("a", "b"):
            made.run(
                "INSERT INTO knowledge_bases (id, name, settings, index_version, created_at, updated_at)"
                " VALUES (?1, ?1, '{}', 1, '', '')",
                key,
            )
        yield made


numbers = count(1)


def job(tx: Transaction, key: str, settings: str, *, indexing: str = "completed", managed: bool = True) -> int:
    """The number of a job that has come so far."""
    name = f"job{next(numbers)}"
    tx.run(
        "INSERT INTO ingestion_jobs (id, kb_id, managed, settings, created_at) VALUES (?, ?, ?, ?, '')",
        name, key, managed, settings,
    )  # fmt: skip
    for phase, status in (("loading", "completed"), ("indexing", indexing)):
        tx.run(
            "INSERT INTO ingestion_phase_status (job_id, phase_name, status, created_at, updated_at)"
            " VALUES (?, ?, ?, '', '')",
            name, phase, status,
        )  # fmt: skip
    return int(tx.value("SELECT max(seq) FROM ingestion_jobs"))


def test_the_newest_job_of_the_knowledge_base_that_was_completed_counts(tx: Transaction) -> None:
    assert not reads_otherwise(tx, "a", RECOGNISED), "there is none"
    job(tx, "a", RECOGNISED)
    second = job(tx, "a", PLAIN)
    job(tx, "a", RECOGNISED, indexing="failed")
    job(tx, "a", RECOGNISED, managed=False)
    job(tx, "b", RECOGNISED)
    assert reads_otherwise(tx, "a", RECOGNISED)
    assert not reads_otherwise(tx, "a", PLAIN)
    assert reads_otherwise(tx, "b", PLAIN)
    assert not reads_otherwise(tx, "a", RECOGNISED, before=second)
    assert reads_otherwise(tx, "a", RECOGNISED, before=second + 1)
