"""Addresses of file systems: their protocols, the links of a chain, and no secrets."""

import pytest

from phaseflow.domain.errors import InvalidValue
from phaseflow.domain.remote_sources import FsspecSource, GitSource, links_of, protocol_of
from tests.matrices import together


@together(
    ("url", "protocol", "links"),
    [
        ("s3://bucket/folder", "s3", ["s3://bucket/folder"]),
        ("S3://bucket/a://b", "s3", ["S3://bucket/a://b"]),
        ("zip://a.txt::s3://bucket/x.zip", "zip", ["zip://a.txt", "s3://bucket/x.zip"]),
        ("zip::tar://a::sftp://host/x", "zip", ["zip", "tar://a", "sftp://host/x"]),
        ("sftp://[::1]:22/folder", "sftp", ["sftp://[::1]:22/folder"]),
        ("zip://*::sftp://[fe80::1]/x", "zip", ["zip://*", "sftp://[fe80::1]/x"]),
        ("git+ssh://host/x", "git+ssh", ["git+ssh://host/x"]),
        ("a/folder", "", ["a/folder"]),
        ("/a::b", "", ["/a", "b"]),
    ],
)
def test_an_address_has_a_protocol_and_one_or_more_links(url: str, protocol: str, links: list[str]) -> None:
    assert (protocol_of(url), links_of(url)) == (protocol, links)


@together(
    ("url", "error"),
    [
        ("bucket/folder", "needs a protocol"),
        ("sftp://ada:secret@host/x", "holds a password"),
        ("zip://a::sftp://ada:secret@host/x", "holds a password"),
        ("s3://bucket/a\nb", "control characters"),
        ("sftp://[::1", "is not an address"),
    ],
)
def test_an_address_that_could_not_be_used_or_shown_is_refused(url: str, error: str) -> None:
    with pytest.raises(InvalidValue, match=error):
        FsspecSource(url)


@pytest.mark.parametrize("url", ["sftp://ada@host/x", "github://owner:repository@main/docs"])
def test_a_user_or_the_repository_of_an_address_is_no_password(url: str) -> None:
    assert FsspecSource(url).url == url


@together("ref", ["-x", "/x", ".x", "a..b", "a//b", "a@{1}", "a b", "a:b", "a/", "a.", "", "a" * 251])
def test_what_git_takes_for_no_name_of_a_branch_is_refused(ref: str) -> None:
    with pytest.raises(InvalidValue, match="is not the name of a branch"):
        GitSource("repository", ref=ref)


@together("ref", ["main", "v1.2", "feature/a-b", "a" * 250])
def test_branches_tags_and_commits_are_taken(ref: str) -> None:
    assert GitSource("repository", ref=ref).ref == ref
