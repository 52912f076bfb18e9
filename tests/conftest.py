"""What all tests share: the event loop they run on, and the shared test data where it is present."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of shared test data, named by PHASEFLOW_CORPORA."""
    named = os.environ.get("PHASEFLOW_CORPORA")
    if not named or not Path(named).is_dir():
        pytest.skip("PHASEFLOW_CORPORA names no folder with the shared test data")
    return Path(named)
