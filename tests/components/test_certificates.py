"""The certificates of the machine are read once, and again when the environment names others."""

import ssl
from pathlib import Path

import pytest

from phaseflow.components.certificates import trusted


def test_they_are_read_once_a_process_and_again_where_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trusted()
    assert trusted() is first
    assert first.verify_mode is ssl.CERT_REQUIRED
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert trusted() is not first


def test_what_cannot_be_read_is_said_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    for _ in range(2):
        with pytest.raises(OSError, match="No such file"):
            trusted()
