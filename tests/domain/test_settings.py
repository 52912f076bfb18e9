"""Settings and sources: their bounds, what is kept of them, and who chose the address of an embedding server."""

from pathlib import PurePosixPath

import pytest
from pydantic import TypeAdapter, ValidationError

from phaseflow.domain.errors import InvalidValue
from phaseflow.domain.settings import (
    EMBEDDED,
    SOURCE,
    FolderSource,
    IndexServerName,
    Settings,
    WebSource,
    anchored,
    as_given,
)
from tests.matrices import together

SERVER = {"type": "openai", "base_url": "http://127.0.0.1:9000/v1", "model": "m"}


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_chunk_has_from_one_to_a_hundred_thousand_characters(size: int) -> None:
    assert Settings(chunk_size=size, chunk_overlap=0).chunk_size == size


@together(
    "fault",
    [{"chunk_size": 0}, {"chunk_size": 100_001}, {"chunk_overlap": -1}]
    + [{"max_deleted_share": share} for share in (-0.01, 1.01)],
)
def test_a_size_beyond_its_bounds_is_refused(fault: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"chunk_size": 100_000, **fault})


@together(("overlap", "fits"), [(99, True), (100, False), (101, False)])
def test_an_overlap_is_smaller_than_its_chunk(overlap: int, fits: bool) -> None:
    if fits:
        assert Settings(chunk_size=100, chunk_overlap=overlap).chunk_overlap == overlap
        return
    with pytest.raises(InvalidValue, match="must be smaller than chunk_size"):
        Settings(chunk_size=100, chunk_overlap=overlap)


@together(("path", "fits"), [("a" * 2074, True), ("ä" * 346, False), ("a" * 2072 + "ä", False)])
def test_an_address_fits_as_it_is_written_out(path: str, fits: bool) -> None:
    given = {"type": "web", "urls": [f"http://h/{path}"]}
    if fits:
        source = SOURCE.validate_python(given)
        assert isinstance(source, WebSource)
        assert len(str(source.urls[0])) == 2083
        return
    with pytest.raises(ValidationError, match="2083 characters once it is written out"):
        SOURCE.validate_python(given)


@together(
    ("ref", "fits"),
    [("main", True), ("release/1.0", True), ("a" * 40, True), ("a b", False), ("-x", False), ("", False)],
)
def test_a_ref_is_a_name_or_an_id(ref: str, fits: bool) -> None:
    given = {"type": "git", "url": "https://example.org/manuals.git", "ref": ref}
    if fits:
        assert SOURCE.validate_python(given).ref == ref  # type: ignore[union-attr]  # the source of a repository
        return
    with pytest.raises(ValidationError, match="is not the name of a branch or tag"):
        SOURCE.validate_python(given)


@together(("name", "fits"), [("vectors", True), ("a1", True), (EMBEDDED, False)])
def test_an_index_server_has_any_name_but_that_of_the_index_inside(name: str, fits: bool) -> None:
    server = TypeAdapter(IndexServerName)
    if fits:
        assert server.validate_python(name) == name
        return
    with pytest.raises(ValidationError, match="is the index inside the database"):
        server.validate_python(name)


def test_a_path_is_stored_with_the_directory_it_was_given_in_and_told_as_it_was_given() -> None:
    directory = PurePosixPath("/home/me")
    stored = anchored(PurePosixPath("docs/guide"), directory)
    assert PurePosixPath(stored) == directory / "docs/guide"
    assert as_given(stored) == "docs/guide"
    absolute = anchored(PurePosixPath("/srv/docs"), directory)
    assert absolute == as_given(absolute) == "/srv/docs"


def test_a_folder_is_kept_as_text_and_its_archives_stay_closed() -> None:
    source = FolderSource(PurePosixPath("docs"))  # type: ignore[arg-type]  # what pathlib gives is taken, too
    assert (source.path, source.archives) == ("docs", False)


@pytest.mark.parametrize("chosen_by_client", [False, True])
def test_to_repeat_an_address_changes_nothing_in_who_chose_it(chosen_by_client: bool) -> None:
    old = Settings.model_validate({"embedder": SERVER}).marked(chosen_by_client=chosen_by_client)
    again = Settings.model_validate({"embedder": SERVER | {"model": "other"}}).marked(
        chosen_by_client=not chosen_by_client
    )
    elsewhere = Settings.model_validate({"embedder": SERVER | {"base_url": "http://127.0.0.1:9001/v1"}}).marked(
        chosen_by_client=not chosen_by_client
    )
    assert again.in_place_of(old) == again.marked(chosen_by_client=chosen_by_client)
    assert elsewhere.in_place_of(old) == elsewhere
