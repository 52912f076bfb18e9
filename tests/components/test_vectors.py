"""Vectors in a smaller form rank like those they were made of."""

import numpy as np
import numpy.typing as npt
import pytest

from phaseflow.components import arrays, vectors
from phaseflow.components.vectors import (
    CompactBuilder,
    CompactRows,
    ExactRows,
    _bit_counter,
    _counted_by_table,
    _packed,
)

COUNT, DIMENSION = 6000, 100
DICE = np.random.default_rng(3)


def clustered() -> npt.NDArray[np.float32]:
    """Around a hundred points, and all of them off the middle, as vectors of texts are."""
    centres = DICE.standard_normal((100, DIMENSION)) + 0.5
    matrix = centres[DICE.integers(0, 100, COUNT)] + 0.5 * DICE.standard_normal((COUNT, DIMENSION))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix.astype(np.float32)


MATRIX = clustered()


def compact(matrix: npt.NDArray[np.float32], mean: npt.NDArray[np.float32] | None = None) -> CompactRows:
    builder = CompactBuilder(len(matrix), matrix.mean(axis=0) if mean is None else mean)
    for first in range(0, len(matrix), 1000):
        builder.put(first, matrix[first : first + 1000])
    return builder.built()


def test_the_nearest_are_found_although_few_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "LEAST_LOOKED_AT", 0)
    rows, found = compact(MATRIX), list[float]()
    for row in MATRIX[::300]:
        query = row + 0.03 * DICE.standard_normal(DIMENSION).astype(np.float32)
        query /= np.linalg.norm(query)
        places, cosines, _ = rows.nearest(query, None)
        assert len(places) <= COUNT // vectors.ONE_OF
        assert np.abs(cosines - MATRIX[places] @ query).max() < 0.01
        best = set(np.argsort(-(MATRIX @ query))[:10].tolist())
        found.append(len(best & set(places.tolist())) / 10)
    assert np.mean(found) > 0.97


def test_a_filter_comes_before_the_comparison() -> None:
    rows = compact(MATRIX)
    among = np.flatnonzero(np.arange(COUNT) % 100 == 7)
    places, cosines, _ = rows.nearest(MATRIX[107], among)
    assert places.tolist() == among.tolist()
    assert places[cosines.argmax()] == 107


def test_it_takes_a_third_of_the_memory() -> None:
    assert compact(MATRIX).size < ExactRows(MATRIX).size * 0.4


def test_what_is_taken_out_and_added_gives_what_was_made_at_once() -> None:
    at_once = compact(MATRIX)
    part = compact(MATRIX[:4000], at_once.mean)
    keep = np.arange(4000) % 3 > 0
    changed = part.taken(keep).with_more(MATRIX[4000:])
    wanted = np.append(np.flatnonzero(keep), np.arange(4000, COUNT))
    for name in ("small", "scales"):
        assert np.array_equal(getattr(changed, name), getattr(at_once, name)[wanted])
    assert np.array_equal(changed.bits, at_once.bits[:, wanted])


def test_each_number_is_the_nearest_of_127_steps_to_the_largest_of_its_row() -> None:
    matrix = np.concatenate([MATRIX[:700], np.zeros((1, DIMENSION), np.float32), -np.abs(MATRIX[:3])])
    made = compact(matrix)
    largest = np.maximum(np.abs(matrix).max(axis=1), np.float32(1e-12))
    assert np.array_equal(made.scales, largest / 127)
    assert np.array_equal(made.small, np.rint(matrix * (127 / largest)[:, None]).astype(np.int8))
    assert np.array_equal(made.bits, _packed(matrix > made.mean))


def test_bits_are_counted_the_same_by_every_numpy() -> None:
    words = _packed(DICE.standard_normal((50, 70)) > 0)
    assert words.shape == (2, 50)
    assert np.array_equal(_bit_counter()(words[0]), _counted_by_table(words[0]))


def test_many_numbers_are_read_some_at_a_time() -> None:
    many = [n * 1_000_003 for n in range(40_000)]
    text = ",".join(map(str, many))
    assert len(text) > 3 * arrays._PIECE
    assert arrays.numbers(text).tolist() == many
