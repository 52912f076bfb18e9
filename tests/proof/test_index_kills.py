"""Some cells of the matrix of kills round an index outside the database; ``./tasks index-kills`` runs all, often."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.indexes.postgres import Postgres
from tests.matrices import first_of_each
from tests.proof.index_kills import PRELOADED, Kills
from tests.proof.index_victim import CELLS, Cell, Errand, Who

SOME = [
    Cell(Who.HEAD, Errand.INGEST, "indexing.put"),
    Cell(Who.HEAD, Errand.INGEST, "index.removed"),
    Cell(Who.HEAD, Errand.DELETE, "index.dropped"),
    Cell(Who.SERVER, Errand.INGEST, "indexing.putting"),
    Cell(Who.SERVER, Errand.MOVE_OUT, "indexing.ready"),
    Cell(Who.SERVER, Errand.MOVE_IN, "index.removing"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(scope="module")
def forks() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@pytest.mark.longest(60)
@pytest.mark.parametrize("cell", first_of_each(SOME), ids=str)
async def test_whoever_is_killed_search_finds_what_is_searchable(
    tmp_path: Path, server: Postgres, forks: multiprocessing.context.ForkServerContext, cell: Cell
) -> None:
    assert cell in CELLS
    assert await Kills(tmp_path, server, forks).prove(cell), "the point was not reached"
