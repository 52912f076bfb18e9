"""Opening a file: is it ours, is it whole, is it of this version; if older, bring it forward, step by step."""

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from importlib import resources
from pathlib import Path

from phaseflow.domain.errors import NewerDatabase, NotADatabase, StoreUnavailable
from phaseflow.domain.log import get_logger
from phaseflow.store import failpoints, upkeep
from phaseflow.store.connection import BUSY_S
from phaseflow.store.open_file import HEAD_BYTES, SQLITE_MAGIC, may_be_open, size_by_head
from phaseflow.store.private_files import make_database_file
from phaseflow.store.transaction import Transaction

APPLICATION_ID = 0x70666C77
"""``pflw``: marks the file as ours (PRAGMA application_id)."""
VERSION = 2
REBUILD_ROOM = 3
"""So many times the size of a file must be free to write it anew: in a temporary file and in the WAL."""
_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4
"""The field of a line of mountinfo (proc(5)); blanks in it are written in octal."""


def schema_sql() -> str:
    """The text of schema.sql: inside the package when installed, at the root of the repository otherwise."""
    packaged = resources.files("phaseflow").joinpath("schema.sql")
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return Path(__file__).parents[3].joinpath("schema.sql").read_text(encoding="utf-8")


def check_file(path: Path) -> None:
    """Raise NotADatabase for a file that is no SQLite database, before SQLite touches it; nothing or empty is fine.

    Raises StoreUnavailable where no file can be: opening a pipe would wait, and a device never keeps what is written.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailable(f"{path} is not a regular file; name another one with --db")
        _check_only_name(path, found)
        if may_be_open(path):
            return  # SQLite will say what is wrong with it
        with path.open("rb") as file:
            head, size = file.read(HEAD_BYTES), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StoreUnavailable(f"there is no folder {path.parent}; create it first") from None
        return
    except OSError as error:
        raise StoreUnavailable(f"cannot read {path}: {error.strerror}") from error
    if head and not head.startswith(SQLITE_MAGIC):
        raise NotADatabase(f"{path} is not a phaseflow database; it was left as it is. Name another file with --db")
    if head and not _wal(path) and size < size_by_head(head):
        raise _damaged(path, "it is shorter than it says itself")


def _wal(path: Path) -> bool:
    """Something was written that is not in the file itself yet."""
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _damaged(path: Path, how: object) -> NotADatabase:
    what = " ".join(str(how).split())
    return NotADatabase(f"{path} is damaged ({what}); it was left as it is. Restore a copy of it")


def prepare(path: Path) -> None:
    """Create the tables in a new file, migrate an older one, refuse any other. Blocking; needs the lock.

    Each step is one transaction: a crash leaves the version before or the version after. Rows that have to be brought
    over follow in small ones, and the next start goes on with what is left of them.
    """
    check_file(path)
    try:
        _refuse_others(path)
        make_database_file(path)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)) as connection:
            _prepare(connection, path)
    except OSError as error:
        raise StoreUnavailable(f"cannot create {path}: {error.strerror}") from error
    except sqlite3.OperationalError as error:
        said = f"cannot open {path}: {error}; check the disk, its free space and the permissions, then retry"
        raise StoreUnavailable(said) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, error) from error


def _refuse_others(path: Path) -> None:
    """Look before opening: closing a connection that may write brings what was not checkpointed into the file."""
    if not path.exists() or not path.stat().st_size:
        return
    only_reading = "mode=ro" if may_be_open(path) or _wal(path) else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"{path.as_uri()}?{only_reading}", uri=True, timeout=BUSY_S)) as connection:
        check_version(path, *identity(connection))


def check_version(path: Path, application_id: int, version: int, tables: int) -> bool:
    """True when the file holds our tables, False when it holds nothing. Raises when it is not ours or is newer."""
    if tables == 0 and application_id in {0, APPLICATION_ID}:
        return False
    if application_id != APPLICATION_ID:
        raise NotADatabase(f"{path} belongs to another program; it was left as it is. Name another file with --db")
    if version > VERSION:
        raise NewerDatabase(
            f"{path} has version {version}, this phaseflow knows {VERSION}; it was left as it is. Upgrade phaseflow"
        )
    return True


_OF_VERSION_1 = "SELECT count(*) FROM sqlite_schema WHERE name = 'texts_of_version_1'"


def check_for_reading(path: Path, tx: Transaction) -> None:
    """Raise StoreUnavailable for a file in which there is nothing, or that is not brought to this version yet, also
    where that has begun: what its rows say is only true once all of them are moved. NotADatabase, NewerDatabase."""
    application_id, version, tables = tx.rows(_IDENTITY)[0]
    if not check_version(path, application_id, version, tables):
        raise StoreUnavailable(f"{path} is an empty database; ingest something first")
    if version < VERSION:
        raise StoreUnavailable(f"{path} was written by an older phaseflow; ingest or serve brings it up to date")
    if tx.value(_OF_VERSION_1):
        raise StoreUnavailable(
            f"{path} was written by an older phaseflow and is not up to date yet; if no ingest or serve is doing that"
            " now, start one: it goes on where the last one stopped"
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    from phaseflow.store import migration  # a reader brings nothing to a new version

    application_id, version, tables = identity(connection)
    if not check_version(path, application_id, version, tables):
        _create(connection)
        return
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if _is_small(path) else "ok"
    if damage != "ok":
        raise _damaged(path, damage)
    for step in range(version, VERSION):
        _in_one_step(connection, migration.MIGRATIONS[step], step + 1)
    if is_half_migrated(connection):
        migration.move_rows(connection)
    if not upkeep.is_rebuilt(connection):
        _rebuild(connection, path)


def _rebuild(connection: sqlite3.Connection, path: Path) -> None:
    """Once, for a file of an older version: else it would never become smaller. Without room it stays as it is."""
    size = path.stat().st_size
    if shutil.disk_usage(path.parent).free < REBUILD_ROOM * size:
        get_logger().warning("no room to write the database anew; it will not become smaller", bytes=size)
        return
    get_logger().info("writing the database anew, so that it can become smaller; this is done once", bytes=size)
    try:
        upkeep.rebuild(connection)
    except sqlite3.OperationalError as error:
        get_logger().warning("the database could not be written anew; the next start tries again", error=str(error))
    failpoints.hit("schema.rebuilt")


_IDENTITY = (
    "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),"
    " (SELECT count(*) FROM sqlite_schema)"
)


def identity(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """(application id, version, number of tables) of a file."""
    application_id, version, tables = connection.execute(_IDENTITY).fetchone()
    return application_id, version, tables


def is_half_migrated(connection: sqlite3.Connection) -> bool:
    """Whether rows of an older version are left to be moved in a file of this one."""
    return bool(connection.execute(_OF_VERSION_1).fetchone()[0])


def _is_small(path: Path) -> bool:
    """A check reads the whole file: done where that takes well under a second (16 MiB)."""
    return path.stat().st_size <= 16 << 20


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    _in_one_step(connection, f"PRAGMA application_id = {APPLICATION_ID};\n{schema_sql()}", VERSION)


def _in_one_step(connection: sqlite3.Connection, sql: str, version: int) -> None:
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {version};")
        failpoints.hit("schema.writing")
        connection.execute("COMMIT")
        failpoints.hit("schema.written")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise


def _check_only_name(path: Path, found: os.stat_result) -> None:
    """Raise StoreUnavailable when the file has another name: by a hard link, or because it is mounted by itself.

    What SQLite has committed and not yet brought into the file lies beside it, under the name the file was opened by.
    An engine that opens it by another name does not see that, and the lock is another one too
    (https://sqlite.org/howtocorrupt.html, 2.5). Symbolic links do no harm: they are followed first.
    """
    if found.st_nlink > 1:
        raise StoreUnavailable(
            f"{path} has {found.st_nlink} names (hard links), and opening it by two of them loses what was written;"
            " remove the others, or make a copy"
        )
    if _is_mounted(path):
        raise StoreUnavailable(
            f"{path} is mounted as a single file, but what belongs to it lies beside it; mount its folder instead"
        )


def _is_mounted(path: Path) -> bool:
    try:
        mounts = _MOUNTS.read_bytes()
    except OSError:
        return False  # not Linux, or no /proc: nothing tells
    name = os.fsencode(os.path.realpath(path))
    return any(_unescaped(line.split(b" ", 5)[_MOUNT_POINT]) == name for line in mounts.splitlines())


def _unescaped(field: bytes) -> bytes:
    for code, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, byte)
    return field
