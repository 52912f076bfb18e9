"""Vectors are stored exactly, or small and still near enough, and say themselves which."""

import numpy as np
import pytest

from phaseflow.components.stored_vectors import MOST_OFF, read, read_all, stored, unit
from tests.matrices import together

DICE = np.random.default_rng(3)


@together("dimension", [1, 2, 3, 7, 256, 384, 1023, 1024])
def test_a_small_vector_takes_a_byte_a_number_and_points_where_it_did(dimension: int) -> None:
    rows = unit(DICE.standard_normal((40, dimension), dtype=np.float32))
    rows[7] = 0
    small = stored(rows, small=True)
    assert max(map(len, small)) <= (dimension + 2 if dimension > 7 else 2 * dimension + 1)
    found = read_all(small)
    assert np.linalg.norm(found - rows, axis=1).max() <= MOST_OFF
    assert np.allclose(np.linalg.norm(found, axis=1), [n != 7 for n in range(40)], atol=1e-3)


def test_a_vector_with_a_few_large_numbers_is_kept_in_two_bytes_a_number() -> None:
    rows = DICE.standard_normal((3, 256), dtype=np.float32)
    rows[1, 5] = 300
    rows = unit(rows)
    small = stored(rows, small=True)
    assert [len(each) for each in small] == [257, 513, 257]
    assert np.linalg.norm(read_all(small) - rows, axis=1).max() <= MOST_OFF
    assert np.abs(read_all(small)[1] - rows[1]).max() < 1e-4


def test_a_vector_points_where_it_did_also_when_no_float32_holds_the_squares_of_its_numbers() -> None:
    plain = DICE.standard_normal((1, 64), dtype=np.float32)
    factors = np.array([[1e-40], [1e-30], [1e-18], [1], [1e18], [1e30], [5e37]], np.float32)
    rows = unit(plain * factors)
    assert np.abs(rows[1:] - unit(plain)).max() < 1e-6
    assert np.abs(rows[0] - unit(plain)).max() < 1e-3  # such small numbers have fewer digits


def test_what_is_exact_stays_so_also_beside_small_ones() -> None:
    rows = unit(DICE.standard_normal((4, 12), dtype=np.float32))
    exact = stored(rows, small=False)
    assert (read(b"".join(exact), len(exact[0])) == rows).all()
    mixed = read_all([exact[0], stored(rows, small=True)[1], exact[2]])
    assert (mixed[[0, 2]] == rows[[0, 2]]).all()
    assert np.abs(mixed[1] - rows[1]).max() < 0.01
    assert read_all([]).shape == (0, 0)
    with pytest.raises(ValueError, match="no vector is stored like this"):
        read(b"xyz", 3)
