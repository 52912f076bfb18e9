"""The ids of pieces, as SQL takes them apart."""

import sqlite3
from contextlib import closing

from phaseflow.store.pieces import MOST_PIECES, document_of, number_of, piece_id, pieces_of
from tests.matrices import together

NUMBERS = [0, 1, 2, 3, 1 << 19, MOST_PIECES - 2, MOST_PIECES - 1]


@together("document", [1, 2, 3, (1 << 40) + 1])
def test_a_piece_tells_its_document_and_its_number(document: int) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for number in NUMBERS:
            sql = f"SELECT {document_of('?1')}, {number_of('?1')}"
            assert connection.execute(sql, (piece_id(document, number),)).fetchone() == (document, number)


def test_the_pieces_of_a_document_are_all_of_its_own_and_none_of_its_neighbours() -> None:
    ids = [piece_id(document, number) for document in (4, 5, 6) for number in NUMBERS]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE pieces (id INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO pieces VALUES (?)", [(each,) for each in ids])

        def found(condition: str) -> list[int]:
            return [row[0] for row in connection.execute(f"SELECT id FROM pieces WHERE {condition} ORDER BY id")]

        assert found(pieces_of("id", "5")) == [piece_id(5, number) for number in NUMBERS]
        assert found(pieces_of("id", "4 + 1", first="1", before="3")) == [piece_id(5, 1), piece_id(5, 2)]
