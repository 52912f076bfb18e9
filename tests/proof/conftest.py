"""What the proofs share with the engine's tests: folders, database paths, and a look at what is left afterwards."""

from tests.engine.conftest import collected, database, folder, nothing_is_left, writes_are_watched

__all__ = ["collected", "database", "folder", "nothing_is_left", "writes_are_watched"]
