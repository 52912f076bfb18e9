"""When a job of a schedule is due."""

from datetime import UTC, datetime, timedelta

from phaseflow.domain.sync import SyncSettings, due_at


def test_when_a_job_is_due() -> None:
    now, hour = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
    assert due_at(None, hour, now) == now
    assert due_at(now - hour / 2, hour, now) == now + hour / 2
    assert due_at(now + 3 * hour, hour, now) == now  # the clock was set back
    assert due_at(None, None, now) is None
    # With an age, the earlier of both readings counts, and adjustments of the wall clock do not.
    minute = hour / 60
    assert due_at(now + 3 * hour, hour, now, age=40 * minute) == now + 20 * minute  # the clock was set back
    assert due_at(now - 10 * minute, hour, now, age=40 * minute) == now + 20 * minute  # by half an hour
    assert due_at(now - 2 * hour, hour, now, age=minute) == now - hour  # the machine was asleep
    assert due_at(now - hour / 2, hour, now, age=hour / 2 + timedelta(seconds=0.4)) == now + hour / 2
    assert SyncSettings(watch=True).interval() is None
    assert SyncSettings(every="1s").interval() == timedelta(seconds=10), "one that is stored counts as the shortest"
    assert SyncSettings(watch=True).interval(watch_failed=True) == timedelta(minutes=10)
    intervals = [SyncSettings(every=text).interval() for text in ("90s", "15m", "6h", "1d")]
    assert intervals == [timedelta(seconds=90), timedelta(minutes=15), timedelta(hours=6), timedelta(days=1)]
