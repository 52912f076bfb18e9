"""When to try again, and when to give up."""

from hypothesis import given
from hypothesis import strategies as st

from phaseflow.domain.policy import LONGEST_WAIT_S, BudgetPolicy, ErrorBudget, RetryPolicy, workers_wait_s
from tests.matrices import together

SECONDS = st.floats(0, 1000)


def _waits(policy: RetryPolicy, asked_s: float | None, jitter: float) -> list[float]:
    waits: list[float] = []
    while (wait_s := policy.wait_s(len(waits) + 1, sum(waits), asked_s, jitter)) is not None:
        waits.append(wait_s)
    return waits


@given(asked_s=st.none() | SECONDS, jitter=st.floats(0, 0.999), tries=st.integers(1, 12), most_s=st.floats(0.1, 100))
def test_a_retry_ends_after_so_many_tries_and_so_many_seconds(
    asked_s: float | None, jitter: float, tries: int, most_s: float
) -> None:
    waits = _waits(RetryPolicy(tries=tries, most_s=most_s), asked_s, jitter)
    assert len(waits) < tries or tries == 1
    assert sum(waits) <= most_s + (asked_s or 0) + 1e-6
    assert all(wait_s >= (asked_s or 0) for wait_s in waits)
    assert all(wait_s > 0 for wait_s in waits)


def test_waits_double() -> None:
    assert _waits(RetryPolicy(tries=5, first_s=1), None, 0) == [1, 2, 4, 8]


def test_by_default_eight_tries_and_at_most_a_minute() -> None:
    assert len(_waits(RetryPolicy(), None, 0)) == 7
    assert sum(_waits(RetryPolicy(first_s=50), None, 0)) == 60


def test_a_wait_that_was_asked_for_is_never_cut_short_but_bounded() -> None:
    assert _waits(RetryPolicy(), 120.0, 0) == [120]
    assert _waits(RetryPolicy(), 59.0, 0) == [59, 59]
    assert RetryPolicy().wait_s(1, 0, asked_s=LONGEST_WAIT_S + 1) is None


def test_what_the_other_side_asks_for_is_the_least_that_is_waited() -> None:
    assert RetryPolicy().wait_s(1, 0, asked_s=7) == 7
    assert RetryPolicy(first_s=9).wait_s(1, 0, asked_s=7) == 9


@given(attempt=st.integers(1, 7), jitter=st.floats(0, 0.999))
def test_jitter_lengthens_a_wait_by_at_most_a_quarter(attempt: int, jitter: float) -> None:
    plain, longer = RetryPolicy().wait_s(attempt, 0), RetryPolicy().wait_s(attempt, 0, jitter=jitter)
    assert plain is not None
    assert longer is not None
    assert plain <= longer <= plain * 1.25


@given(outcomes=st.lists(st.booleans(), max_size=300), row=st.integers(1, 20), window=st.integers(1, 50))
def test_the_budget_is_spent_by_a_row_or_by_a_share_of_a_full_window(
    outcomes: list[bool], row: int, window: int
) -> None:
    policy = BudgetPolicy(in_a_row=row, share=0.3, window=window)
    budget = ErrorBudget(policy)
    for n, failed in enumerate(outcomes, start=1):
        seen = outcomes[:n]
        in_a_row = len(seen) >= row and all(seen[-row:])
        too_many = n >= window and sum(seen[-window:]) / window > policy.share
        assert (budget.spend(failed) is not None) == (in_a_row or too_many)


def test_by_default_ten_in_a_row_are_too_many() -> None:
    budget = ErrorBudget()
    said = [budget.spend(True) for _ in range(10)]
    assert said[:9] == [None] * 9
    assert said[9] == "error budget spent: 10 documents in a row failed"


def test_by_default_more_than_fifteen_of_the_last_hundred_are_too_many() -> None:
    outcomes = ([True] * 5 + [False] * 5) * 3 + [False] * 70
    fine = ErrorBudget()
    assert not any(fine.spend(failed) for failed in outcomes)
    budget = ErrorBudget()
    assert not any(budget.spend(failed) for failed in [True, *outcomes[:-2]])
    assert budget.spend(False) == "error budget spent: 16% of the last 100 documents failed"


@together("bad", [1, 3, 9])
def test_a_few_bad_documents_of_a_few_are_no_bad_job(bad: int) -> None:
    budget = ErrorBudget()
    assert not any(budget.spend(failed) for failed in [True] * bad + [False])


def test_jitter_lengthens_a_wait_by_up_to_a_quarter() -> None:
    assert RetryPolicy(first_s=8, most_s=100).wait_s(1, 0, jitter=0.5) == 9
    assert RetryPolicy(first_s=8, most_s=100).wait_s(2, 0, jitter=0.5) == 18


def test_workers_that_are_gone_are_looked_for_less_and_less_often_up_to_every_five_seconds() -> None:
    waits = [workers_wait_s(times, None) for times in (*range(1, 9), 100_000)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert workers_wait_s(1, 30.0) == 30.0
    assert workers_wait_s(7, 1.0) == 5.0
