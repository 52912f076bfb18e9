"""Sources on other machines that are read as files: what fsspec reaches, and Git repositories."""

import re
from operator import not_
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from phaseflow.domain.made_values import told_in_words
from phaseflow.domain.patterns import SERVER_WORDS, worded

_STRICT = ConfigDict(extra="forbid")
LONGEST_URL = 2083
CONNECTION_NAME = worded("^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", SERVER_WORDS)
_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::.*)?://")
_HOST = re.compile(r"(?<=://)\[[0-9A-Fa-f:.]+\]")
"""An IPv6 address, whose colons part nothing."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
# What git takes as the name of a branch or tag, and a commit; nothing that could be an option or leave ``refs/``.
_REF = re.compile(r"(?![-/.])(?!.*(\.\.|//|@\{|\\|[\x00-\x20\x7f~^:?*\[]))[^\x00-\x20]{1,250}(?<![/.])")


def protocol_of(url: str) -> str:
    """What stands before ``://``, in small letters, of a chain before the first ``::``; ``""`` for a path."""
    return re.split("://|::", url, maxsplit=1)[0].lower() if _PROTOCOL.match(url) else ""


def links_of(url: str) -> list[str]:
    """The addresses of a chain (``zip://a.txt::s3://bucket/x.zip``); one for what is none."""
    ends = [found.start() for found in re.finditer("::", _HOST.sub(lambda found: "-" * len(found[0]), url))]
    return [url[start:end] for start, end in zip([0, *(end + 2 for end in ends)], [*ends, None], strict=True)]


def _without_secrets(url: str) -> str:
    """It is stored and shown: what is secret belongs to the environment, or to a connection of the operator."""
    if _UNPRINTABLE.search(url):
        raise ValueError("an address has no control characters")
    for link in links_of(url):
        user = _netloc(link).rpartition("@")[0]
        if ":" in user and protocol_of(link) != "github":  # there it is github://owner:repository@ref
            raise ValueError("holds a password, which would be stored and shown; name a connection that has it instead")
    return url


def _with_protocol(url: str) -> str:
    if not protocol_of(url):
        raise ValueError("needs a protocol: write it as s3://bucket/folder")
    return _without_secrets(url)


def _is_ref(ref: str) -> str:
    if not _REF.fullmatch(ref):
        raise ValueError("is not the name of a branch or tag, nor a full commit id")
    return ref


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        raise ValueError("is not an address; write it as protocol://host/path") from None


Url = Annotated[str, Field(min_length=1, max_length=LONGEST_URL)]
Connection = Annotated[str | None, Field(pattern=CONNECTION_NAME, exclude_if=lambda name: name is None)]


@told_in_words
@dataclass(frozen=True, config=_STRICT)
class FsspecSource:
    """Files below an address of any file system that fsspec knows: ``s3://bucket/folder``, ``sftp://host/folder``, ….

    Globs are relative to it, as for a folder. ``connection``: the name of one of the operator's, with its address and
    credentials.
    """

    url: Annotated[Url, AfterValidator(_with_protocol)]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    connection: Connection = None
    type: Literal["fsspec"] = "fsspec"


@told_in_words
@dataclass(frozen=True, config=_STRICT)
class GitSource:
    """Files of a Git repository as they are in one commit: that of ``ref``, a branch, a tag or a full commit id.

    Without one, that of the repository's own branch. ``url`` is an address or a path. ``connection``: the name of
    one of the operator's, with its credentials.
    """

    url: Annotated[Url, AfterValidator(_without_secrets)]
    ref: Annotated[Annotated[str, AfterValidator(_is_ref)] | None, Field(exclude_if=not_)] = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    connection: Connection = None
    type: Literal["git"] = "git"
