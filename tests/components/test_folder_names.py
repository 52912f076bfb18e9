"""Names of files as URIs, and back."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseflow.components.sources.names import path_of, uri_of
from phaseflow.components.sources.patterns import Globs
from phaseflow.domain.errors import InvalidRequest
from tests.matrices import together

NAMES = st.one_of(
    st.binary(min_size=1, max_size=40).map(os.fsdecode),
    st.text(alphabet="%0123456789ABCDEFaé\n-😀\udce9\udc80", min_size=1, max_size=20),
)


@given(NAMES)
def test_a_name_is_found_again_from_its_uri(name: str) -> None:
    assert path_of(uri_of(name)) == name


@given(NAMES)
def test_a_uri_is_always_valid_unicode(name: str) -> None:
    uri_of(name).encode("utf-8")


@given(NAMES, NAMES)
def test_no_two_names_share_a_uri(one: str, other: str) -> None:
    assert (uri_of(one) == uri_of(other)) == (one == other)


@together("name", ["100%.md", "a%41.md", "-dash", "two\nlines", "ünïcode 😀", "%20", "%e9"])
def test_an_ordinary_name_is_its_own_uri(name: str) -> None:
    assert uri_of(name) == name


@together(
    ("name", "uri"),
    [(b"caf\xe9.md", "caf%E9.md"), (b"caf%E9.md", "caf%25E9.md"), (b"%25", "%2525"), (b"%%\xff", "%%%FF")],
)
def test_bytes_that_are_no_utf8_are_percent_encoded(name: bytes, uri: str) -> None:
    assert uri_of(os.fsdecode(name)) == uri


def test_a_glob_writes_bytes_that_are_no_utf8_as_a_uri_does() -> None:
    raw = os.fsdecode(b"gr\xf6e.md")
    assert Globs(["gr%F6*.md"], []).take_file(raw)
    assert not Globs([], ["gr%F6e.md"]).take_file(raw)
    assert Globs(["a%25E9.md"], []).take_file("a%E9.md")
    with pytest.raises(InvalidRequest, match=r"source\.include.*half a character.*%E9"):
        Globs.check([raw], [])
