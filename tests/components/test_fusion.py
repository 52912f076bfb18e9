"""One score from words and vectors: what must not depend on the model, and what vectors that tell nothing may cost."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from phaseflow.components.fusion import Fused, Share, fused, only
from phaseflow.components.nearness import Nearness
from phaseflow.components.resident import Passages, Vectors
from phaseflow.components.vectors import ExactRows
from phaseflow.components.word_ranking import WordScores
from tests.matrices import together

COUNT = 200


def passages(count: int = COUNT) -> Passages:
    """One passage a document."""
    ids = np.arange(count, dtype=np.int64) << 20
    ones = np.ones(count, np.float32)
    return Passages(1, ids, ones, np.arange(count), ids >> 20, ones, 1.0, 1.0)


KNOWN = passages()
DICE = np.random.default_rng(5)


def words(*best: int) -> WordScores:
    """Passages that words find, the first best."""
    scores = np.zeros(COUNT, np.float32)
    scores[list(best)] = np.linspace(10, 8, len(best))
    return WordScores(scores, scores, 20.0)


def near(
    matrix: npt.NDArray[np.float32], query: npt.NDArray[np.float32], only: npt.NDArray[np.bool_] | None = None
) -> Nearness:
    rows = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    found = Nearness.measured(KNOWN, Vectors(1, KNOWN.ids, ExactRows(rows.astype(np.float32)), KNOWN.ids), query, only)
    assert found is not None
    return found


@together("length", [1e-30, 1e-12, 1e25, 3e37])
def test_a_query_has_a_direction_also_when_no_float32_holds_the_squares_of_its_numbers(length: float) -> None:
    matrix = DICE.standard_normal((COUNT, 32), np.float32)
    query = matrix[7] * np.float32(length)
    assert near(matrix, query).of(np.array([7])).item() == pytest.approx(1, abs=1e-5)


def ranked(by: Share, count: int) -> list[int]:
    return [int(place) for place in fused(KNOWN, by).places[:count]]


def test_vectors_that_tell_nothing_leave_the_order_of_the_words() -> None:
    noise = near(DICE.standard_normal((COUNT, 32), np.float32), DICE.standard_normal(32, np.float32))
    best = (9, 3, 77, 20, 41)
    assert noise.of(np.array(best)).mean() < 0.3
    assert set(ranked(Share(words(*best), noise), 5)) == set(best)


def test_a_model_whose_cosines_all_lie_close_together_ranks_like_any_other() -> None:
    matrix, query = DICE.standard_normal((COUNT, 32), np.float32), DICE.standard_normal(32, np.float32)
    matrix[[3, 5]] += 2 * query
    by = words(3, 9, 5)
    wide = ranked(Share(by, near(matrix, query)), 3)
    # The same passages in a narrow cone, as the models of some providers have them.
    cone = np.hstack([matrix, np.full((COUNT, 1), 40, np.float32)])
    narrow = ranked(Share(by, near(cone, np.append(query, np.float32(40)))), 3)
    assert wide[0] == narrow[0] == 3


def test_what_only_the_vectors_find_is_found() -> None:
    matrix, query = DICE.standard_normal((COUNT, 32), np.float32), DICE.standard_normal(32, np.float32)
    matrix[[3, 9, 60]] += 3 * query
    assert 60 in ranked(Share(words(3, 9), near(matrix, query)), 3)


def test_a_passage_near_to_the_best_comes_before_one_as_near_to_the_query() -> None:
    matrix, query = np.zeros((COUNT, 8), np.float32), np.zeros(8, np.float32)
    matrix[:, 7] = 1
    query[0] = 1
    matrix[3, :2] = matrix[60, :2] = matrix[61, [0, 2]] = 1  # 60 lies towards 3, 61 elsewhere
    matrix[[3, 60, 61], 7] = 0
    assert ranked(Share(words(3), near(matrix, query)), 3) == [3, 60, 61]


def test_a_filter_leaves_only_what_it_lets_through() -> None:
    matrix, query = DICE.standard_normal((COUNT, 32), np.float32), DICE.standard_normal(32, np.float32)
    let_through = np.arange(COUNT) % 50 == 3
    by = Share(only(words(3, 9, 60), KNOWN, let_through), near(matrix, query, let_through))
    assert sorted(ranked(by, COUNT)) == np.flatnonzero(let_through).tolist()


@pytest.mark.parametrize("by", [Share(words(3), None), Share(None, None)])
def test_without_vectors_the_words_decide(by: Share) -> None:
    assert ranked(by, 5) == ([3] if by.words else [])


def test_what_holds_a_thing_as_written_comes_before_what_ranks_higher() -> None:
    ranking = fused(KNOWN, Share(words(3, 9, 60), None)).with_exact({60: 0.5, 9: 0.75, 7: 1.0, 8: 1.0})
    assert ranking.places[:5].tolist() == [7, 8, 9, 60, 3]
    assert (np.diff(ranking.scores) <= 0).all()


def test_of_those_that_hold_a_thing_the_one_of_the_best_document_comes_first() -> None:
    known = replace(KNOWN, document_of=np.repeat(np.arange(COUNT // 2), 2))
    ranking = Fused(known, np.array([2, 8, 3, 9]), np.array([0.9, 0.6, 0.4, 0.3]), 1.0)
    exact = ranking.with_exact({3: 1.0, 8: 1.0})  # 2 and 3 are of one document
    assert exact.places[:2].tolist() == [3, 8]
    assert ranking.with_exact({3: 0.5, 8: 1.0}).places[:2].tolist() == [8, 3]


def test_where_nothing_is_near_and_no_word_is_found_scores_are_numbers() -> None:
    matrix = np.abs(DICE.standard_normal((COUNT, 8)))
    away = near(matrix, -np.ones(8, np.float32))
    found = fused(KNOWN, Share(words(), away))
    scores = [score for batch in found.batches(50) for _, score in batch]
    assert len(scores) > 3
    assert set(scores) == {0.0}


def test_cosines_that_are_looked_up_are_those_of_the_vectors() -> None:
    found = near(DICE.standard_normal((COUNT, 256), np.float32), DICE.standard_normal(256, np.float32))
    some = np.array([7, 3, 199, 0])
    assert found.every is not None
    assert found.of(some).tolist() == found.rows(some).cosines(found.query).tolist()
    assert replace(found, every=None, is_in_step=False).of(some).tolist() == found.of(some).tolist()


def test_with_a_filter_no_cosine_is_looked_up_by_a_place_among_all() -> None:
    matrix, query = DICE.standard_normal((COUNT, 32), np.float32), DICE.standard_normal(32, np.float32)
    some = np.array([199, 5])
    filtered = near(matrix, query, np.arange(COUNT) > 100)
    assert filtered.every is None
    assert filtered.of(some).tolist() == near(matrix, query).of(some).tolist()
