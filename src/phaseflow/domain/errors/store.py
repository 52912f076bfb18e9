"""What is wrong with the database file."""

from phaseflow.domain.errors.requests import PhaseflowError


class StoreError(PhaseflowError):
    """The database file cannot be used as asked."""

    code = "store_error"


class DatabaseHeld(StoreError):
    """Another engine has this database open. ``is_here``: in this very process."""

    code = "database_held"

    def __init__(self, path: str, holder: str, *, is_here: bool = False) -> None:
        super().__init__(
            f"{path} is in use by this program itself ({holder}); share the engine that it has on it, or end that first"
            if is_here
            else f"{path} is in use by {holder}; stop that process, or talk to it with --server URL if it serves"
        )
        self.path = path
        self.holder = holder


class NotADatabase(StoreError):
    """The file is damaged or is not a phaseflow database. It was left as it is."""

    code = "not_a_database"


class NewerDatabase(StoreError):
    """The file was written by a newer phaseflow. It was left as it is."""

    code = "newer_database"


class BackupFailed(StoreError):
    """A copy of the database could not be made. Nothing is left of it; the database is as it was."""

    code = "backup_failed"


class StoreUnavailable(StoreError):
    """The file cannot be read or written now: disk full, read-only, locked, or gone.

    ``reason`` is the same without a path of this machine; None when nothing can be said without one.
    """

    code = "store_unavailable"

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class StaleRun(StoreError):
    """A write that belongs to a run which is over. It was refused and changed nothing."""

    code = "ownership_lost"
