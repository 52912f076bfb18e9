"""A PostgreSQL for the tests of a process, started when the first one asks for it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from phaseflow.components.indexes import Index
from phaseflow.components.indexes.postgres import PostgresIndex
from tests.engine.conftest import writes_are_watched
from tests.indexes.file_index import FileIndex
from tests.indexes.postgres import Postgres

__all__ = ["index", "postgres", "shared_postgres", "writes_are_watched"]


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres(shared_postgres: Postgres) -> Postgres:
    """Running, and without any space."""
    shared_postgres.rows("DROP SCHEMA IF EXISTS phaseflow CASCADE")
    return shared_postgres


@pytest.fixture(params=["file", "postgres"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Index]:
    """An index outside the database, open."""
    if request.param == "file":
        made: Index = FileIndex(tmp_path / "index.db")
    else:
        made = PostgresIndex("main", request.getfixturevalue("postgres").url)
    await made.open()
    yield made
    await made.aclose()
