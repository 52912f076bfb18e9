"""Which documents have changed: noted by triggers of the writer's connection, so that no place that writes can forget.

Nothing of it is stored. The triggers are temporary, they belong to the connection.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from phaseflow.store.knowledge_bases import name_of

KEPT = 10_000
"""Documents of a knowledge base whose changes are remembered; whoever is further behind hears of the latest ones."""

_WHEN = {
    "documents": ("INSERT", "UPDATE OF state, metadata"),
    "failures": ("INSERT", "UPDATE", "DELETE"),
    "requests": ("INSERT", "UPDATE", "DELETE"),
    "catalogue": ("INSERT", "UPDATE OF skipped, metadata"),
}


class DocumentChanges:
    """The documents that commits have changed while anybody listened, the latest last."""

    def __init__(self) -> None:
        self._touched: dict[tuple[str, str], None] = {}
        self._numbers: dict[str, OrderedDict[str, int]] = {}
        self._listeners = 0
        self._changed = anyio.Event()
        self.last = 0
        """The number of the latest change."""

    def attach(self, connection: sqlite3.Connection) -> None:
        """Note what this connection writes. In its thread."""
        connection.create_function("document_touched", 2, self._touch)
        connection.execute("PRAGMA temp_store = MEMORY")
        for table, moments in _WHEN.items():
            for number, moment in enumerate(moments):
                row = "old" if moment == "DELETE" else "new"
                connection.execute(
                    f"CREATE TEMP TRIGGER {table}_touched_{number} AFTER {moment} ON main.{table}"
                    f" BEGIN SELECT document_touched({row}.kb_id, {row}.uri); END"
                )

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Changes are kept for ``since`` while anybody is in this block."""
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._numbers.clear()

    def tell(self) -> None:
        """What has been touched is committed; or rolled back, then somebody looks in vain. In the event loop."""
        if not self._touched:
            return
        touched, self._touched = self._touched, {}
        for key, uri in touched:
            self.last += 1
            numbers = self._numbers.setdefault(name_of(key), OrderedDict())
            numbers[uri] = self.last
            numbers.move_to_end(uri)
            if len(numbers) > KEPT:
                numbers.popitem(last=False)
        self._changed.set()
        self._changed = anyio.Event()

    def hint(self) -> anyio.Event:
        """Set at the next change. Take it before looking, wait for it after."""
        return self._changed

    def since(self, kb_id: str, number: int, limit: int) -> list[tuple[int, str]]:
        """(number, uri) of the first documents of a knowledge base that changed after ``number``, each once."""
        found: list[tuple[int, str]] = []
        for uri, changed in reversed(self._numbers.get(kb_id, OrderedDict()).items()):
            if changed <= number:
                break
            found.append((changed, uri))
        return found[: -limit - 1 : -1]

    def _touch(self, key: str, uri: str) -> None:
        if self._listeners:
            self._touched[key, uri] = None
