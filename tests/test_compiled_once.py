"""One process of a run compiles a module of tests while the others wait, and none waits for one that is compiled."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import compiled_once
from tests.compiled_once import PARSED, compiled_by_one, kept, parsed_by_one


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "test_it.py"
    path.write_text("def test_it(): assert True\n", encoding="utf-8")
    return path


@pytest.fixture
def other(module: Path) -> Iterator[int]:
    """The module as another process has it open."""
    descriptor = os.open(module, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def _keep(module: Path) -> None:
    kept(module).parent.mkdir(exist_ok=True)
    kept(module).touch()


def _is_free(other: int) -> bool:
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(other, fcntl.LOCK_UN)
    return True


def test_pytest_keeps_what_it_compiles_where_that_is_looked_for() -> None:
    assert kept(Path(__file__)).exists()


def test_who_compiles_a_module_keeps_the_others_waiting(module: Path, other: int) -> None:
    with compiled_by_one(module):
        assert not _is_free(other)
    assert _is_free(other)
    _keep(module)
    with compiled_by_one(module):
        assert _is_free(other)


def test_all_that_have_waited_go_on_together(module: Path, other: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock

    def after_another(descriptor: int, how: int) -> None:
        _keep(module)
        lock(descriptor, how)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", after_another)
        waited = compiled_by_one(module)
        waited.__enter__()
    assert _is_free(other)
    waited.__exit__(None, None, None)


def test_nobody_waits_where_nothing_can_be_kept(module: Path, other: int) -> None:
    kept(module).parent.touch()  # a file, where pytest would make a folder
    with compiled_by_one(module):
        assert _is_free(other)


def test_what_is_parsed_for_properties_is_parsed_by_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open(compiled_once.__file__) as other:
        with parsed_by_one():
            assert not _is_free(other.fileno())
            PARSED.mkdir(parents=True)
        with parsed_by_one():
            assert _is_free(other.fileno())


@given(st.integers())
def test_hypothesis_keeps_what_it_has_parsed_where_that_is_looked_for(number: int) -> None:
    assert PARSED.is_dir()
