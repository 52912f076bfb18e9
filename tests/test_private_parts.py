"""What we take of others that they do not promise stands in one module each, and here is what breaks with it."""

import ast
import inspect
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import httpcore2
import httpx2
import pytest
from uvicorn.protocols.http import h11_impl, httptools_impl

import phaseflow
from phaseflow.components.embedders.guarded import GuardedTransport
from phaseflow.components.sources.web.ssrf import AddressPolicy
from phaseflow.http.connection import _ANSWERING, Connection
from phaseflow.store.connection import open_connection

ROOT = Path(phaseflow.__file__).parent
TAKEN = {"store/connection.py": {"_connector", "_thread", "_tx"}}
"""Private attributes of a library's class that a class of ours reads. Those of uvicorn have no underscore."""
WITH_BASE = re.compile(r"^\s*class \w+(\[.*\])?\(", re.MULTILINE)
"""To parse the other modules, too, would take as long again."""


def _inherited_private(tree: ast.Module) -> Iterator[str]:
    """Private attributes of ``self`` in a class whose base comes from elsewhere, that the class does not define."""
    foreign = {
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and not (getattr(node, "module", None) or "").startswith("phaseflow")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        if not {ast.unparse(base).partition(".")[0].partition("[")[0] for base in node.bases} & foreign:
            continue
        of_self = [
            part
            for part in ast.walk(node)
            if isinstance(part, ast.Attribute) and _is_private(part.attr) and _is_self(part.value)
        ]
        own = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
        own |= {ast.unparse(item.target) for item in node.body if isinstance(item, ast.AnnAssign)}
        own |= {part.attr for part in of_self if isinstance(part.ctx, ast.Store)}
        yield from {part.attr for part in of_self} - own


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_private_attributes_of_others_stand_where_they_are_known() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in sorted(ROOT.rglob("*.py"))
        if WITH_BASE.search(source := path.read_text("utf-8")) and "self._" in source
        if (names := set(_inherited_private(ast.parse(source))))
    }
    assert found == TAKEN


async def test_a_whole_transaction_is_one_trip_to_the_thread_of_its_connection(tmp_path: Path) -> None:
    """Breaks when aiosqlite changes how it runs a call in its thread: nothing can be read or written then."""

    def work(bare: sqlite3.Connection) -> tuple[str, int]:
        bare.execute("CREATE TABLE t (x)")
        bare.execute("INSERT INTO t VALUES (1)")
        return threading.current_thread().name, bare.execute("SELECT count(*) FROM t").fetchone()[0]

    (tmp_path / "kb.db").touch()
    async with open_connection(tmp_path / "kb.db", "rw") as connection:
        assert isinstance(connection, aiosqlite.Connection)
        assert await connection.call(work) == ("phaseflow-sqlite", 1)


@pytest.mark.parametrize("module", [httptools_impl, h11_impl])
def test_the_answers_of_uvicorn_show_their_connection(module: Any) -> None:
    """Breaks when uvicorn changes how it answers: a client that stops reading is not dropped, one that has left is seen
    by a task of its stream, and a stop under a plain uvicorn waits for its limit while streams are open."""
    cycle = module.RequestResponseCycle
    assert inspect.iscoroutinefunction(getattr(cycle, _ANSWERING))
    source = inspect.getsource(module)
    for part in ("self.scope = scope", "self.transport = transport", "self.keep_alive = "):
        assert part in source
    assert "self.cycle.keep_alive = False" in source  # what a server that stops does
    assert "self.disconnected = False" in source
    assert "self.cycle.disconnected = True" in source  # when the connection is lost
    assert inspect.iscoroutinefunction(cycle.receive)  # a method, so that it leads to the cycle
    seen: dict[str, Any] = {"keep_alive": True, "disconnected": False}

    class Answer:
        keep_alive = property(lambda self: seen["keep_alive"])
        disconnected = property(lambda self: seen["disconnected"])

        async def receive(self) -> Any: ...

    connection = Connection(Answer().receive)
    assert (connection.is_draining, connection.tells_its_end, connection.is_gone) == (False, True, False)
    seen |= {"keep_alive": False, "disconnected": True}
    assert (connection.is_draining, connection.is_gone) == (True, True)


async def test_the_transport_of_the_http_library_connects_through_its_pool() -> None:
    """Breaks when httpx2 takes its pool from elsewhere: the guard on the addresses of embedders would not be asked."""
    transport = GuardedTransport(AddressPolicy(), 1)
    assert isinstance(transport._pool, httpcore2.AsyncConnectionPool)
    async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
        with pytest.raises(Exception, match="127\\.0\\.0\\.1"):
            await client.get("http://127.0.0.1:9/")
