"""Files in parts: each has its own, however many there are, and goes a bounded number of parts at a time."""

from datetime import timedelta

from phaseflow.store.database import Database
from phaseflow.store.kept_files import KeptFileRows
from phaseflow.store.transaction import Transaction
from tests.store.stock import NOW

PARTS = 40


def keep(tx: Transaction, name: str, expires_after_s: int | None = None) -> int:
    rows = KeptFileRows(tx)
    number = rows.begin(name, f"{name}.md", NOW)
    for position in range(PARTS):
        rows.add_part(number, position, f"{name} {position}".encode())
    rows.finish(number, "assistants", PARTS, expires_after_s)
    return number


async def test_the_parts_of_files_do_not_meet_and_go_with_their_file_alone(database: Database) -> None:
    def write(tx: Transaction) -> None:
        rows = KeptFileRows(tx)
        assert rows.totals() == (0, 0)
        numbers = {name: keep(tx, name) for name in ("one", "two", "three")}
        for name, number in numbers.items():
            assert [rows.part(number, n) for n in (0, PARTS - 1)] == [f"{name} 0".encode(), f"{name} 39".encode()]
            assert rows.part(number, PARTS) is None
        steps = 0
        while rows.remove_some(numbers["two"]):
            steps += 1
        assert steps == 3, "sixteen at a time"
        assert tx.value("SELECT count(*) FROM kept_parts") == 2 * PARTS
        assert rows.totals() == (2, 2 * PARTS)
        assert [rows.find(name, NOW) is None for name in numbers] == [False, True, False]

    await database.write(write)


async def test_a_file_is_seen_from_its_end_until_it_expires_or_is_hidden(database: Database) -> None:
    def write(tx: Transaction) -> None:
        rows = KeptFileRows(tx)
        coming = rows.begin("coming", "coming.md", NOW)
        numbers = {name: keep(tx, name, 10 if name == "short" else None) for name in ("short", "long", "hidden")}
        rows.hide(numbers["hidden"])
        later = NOW + timedelta(seconds=10)
        assert [one.id for one in rows.page(NOW, None, None, 9, newest_first=False)] == ["short", "long"]
        assert [one.id for one in rows.page(NOW, "assistants", None, 1, newest_first=True)] == ["long"]
        assert [one.id for one in rows.page(NOW, None, numbers["short"], 9, newest_first=False)] == ["long"]
        assert [one.id for one in rows.page(NOW, None, numbers["long"], 9, newest_first=True)] == ["short"]
        assert rows.page(NOW, "other", None, 9, newest_first=False) == []
        assert (rows.find("short", NOW) is None, rows.find("short", later) is None) == (False, True)
        while rows.remove_some_leftovers(later, frozenset({"coming"})):
            pass
        assert [row[0] for row in tx.rows("SELECT number FROM kept_files ORDER BY 1")] == [coming, numbers["long"]]
        while rows.remove_some_leftovers(later, frozenset()):
            pass
        assert tx.rows("SELECT number FROM kept_files") == [(numbers["long"],)]

    await database.write(write)
