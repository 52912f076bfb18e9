"""What the SOURCE arguments mean: one folder, some files, web addresses, or one address of another kind."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from phaseflow.components.sources.names import glob_of, uri_of
from phaseflow.domain.identifiers import whole_characters
from phaseflow.domain.remote_sources import protocol_of

if TYPE_CHECKING:
    from phaseflow.domain.remote_sources import FsspecSource, GitSource
    from phaseflow.domain.settings import FolderSource, WebSource

_GLOB_CHARACTERS = frozenset("*?[]!#\\ ")


def source_of(
    arguments: Sequence[str],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    max_pages: int | None = None,
    max_depth: int | None = None,
    archives: bool = False,
    connection: str | None = None,
    ref: str | None = None,
) -> "FolderSource | WebSource | FsspecSource | GitSource":
    """The source that the arguments name. Folder paths become absolute, so that they hold from any directory.

    Raises click.UsageError, which says what to write instead.
    """
    include, exclude = [glob_of(glob) for glob in include], [glob_of(glob) for glob in exclude]
    if any(_is_remote(argument) for argument in arguments) or (connection is not None and _is_address(arguments[0])):
        if archives or max_pages is not None or max_depth is not None:
            raise click.UsageError("--archives, --max-pages and --max-depth do not go with such an address")
        return _remote(arguments, include, exclude, connection, ref)
    if ref is not None:
        raise click.UsageError("--ref belongs to a Git repository, such as git+https://host/repository.git")
    if connection is not None:
        raise click.UsageError("--connection belongs to an address, such as s3://bucket/folder")
    if any(_is_address(argument) for argument in arguments):
        if archives:
            raise click.UsageError("--archives opens files of a folder; leave it out with web addresses")
        return _web(arguments, include or exclude, {"max_pages": max_pages, "max_depth": max_depth})
    if max_pages is not None or max_depth is not None:
        option = "--max-depth" if max_pages is None else "--max-pages"
        raise click.UsageError(f"{option} limits web addresses; use --include and --exclude with a folder")
    paths = [_existing(argument) for argument in arguments]
    if len(paths) == 1 and paths[0].is_dir():
        return _folder(paths[0], include, exclude, archives)
    if any(path.is_dir() for path in paths):
        raise click.UsageError(_one_folder(paths))
    if include:
        raise click.UsageError("--include selects files of a folder; these files are named already, so leave it out")
    return _files(paths, exclude, archives)


def _is_address(argument: str) -> bool:
    return argument.lower().startswith(("http://", "https://"))


def _is_remote(argument: str) -> bool:
    return bool(protocol_of(argument)) and not _is_address(argument)


def _remote(
    arguments: Sequence[str],
    include: Sequence[str],
    exclude: Sequence[str],
    connection: str | None,
    ref: str | None,
) -> "FsspecSource | GitSource":
    from phaseflow.domain.errors import InvalidRequest
    from phaseflow.flow.inputs import GIT_PREFIX, as_source

    if len(arguments) > 1:
        raise click.UsageError(f"{arguments[0]!r} is a source of its own; run ingest once for each")
    url, is_git = arguments[0], arguments[0].lower().startswith(GIT_PREFIX)
    if ref is not None and not is_git:
        raise click.UsageError(
            "--ref belongs to a Git repository: write its address as git+https://host/repository.git"
        )
    given = {"type": "git" if is_git else "fsspec", "url": url[len(GIT_PREFIX) :] if is_git else url}
    more = {"include": list(include), "exclude": list(exclude), "connection": connection, "ref": ref}
    try:
        source = as_source(given | {name: value for name, value in more.items() if value})
    except InvalidRequest as error:
        raise click.UsageError(f"this address cannot be used: it {error.message}") from None
    assert source.type in {"fsspec", "git"}
    return source


def _existing(argument: str) -> Path:
    path = Path(os.path.abspath(argument))
    if not argument.strip() or "\0" in argument or not path.exists():
        raise click.UsageError(f"{argument!r} does not exist; name a folder, files, or an http(s) address")
    return path


def _web(arguments: Sequence[str], globs: Sequence[str], limits: Mapping[str, int | None]) -> "WebSource":
    from pydantic import TypeAdapter, ValidationError

    from phaseflow.components.sources.web.address import advice, normalised
    from phaseflow.domain.settings import WebSource
    from phaseflow.domain.validation import first_fault

    others = [argument for argument in arguments if not _is_address(argument)]
    if others:
        raise click.UsageError(f"{others[0]!r} is not a web address; run ingest once more for it, with the same --kb")
    if globs:
        raise click.UsageError("--include and --exclude select files of a folder; leave them out with web addresses")
    given = {name: limit for name, limit in limits.items() if limit is not None}
    try:
        source = TypeAdapter(WebSource).validate_python({"urls": list(arguments), **given})
    except ValidationError as error:
        fault = first_fault(error)
        shown = str(fault.given).rpartition("@")[2]  # what stands before it may be a password
        raise click.UsageError(f"{shown!r} cannot be used: it {fault.problem}") from None
    for url in source.urls:
        if normalised(str(url)) is None:
            raise click.UsageError(advice(url.host))
    return source


def _folder(path: Path, include: Sequence[str], exclude: Sequence[str], archives: bool) -> "FolderSource":
    from phaseflow.domain.settings import FolderSource

    if str(path) != whole_characters(str(path)):
        raise click.UsageError(
            f"the folder {str(path)!r} has bytes in its name that are no UTF-8, and so cannot be kept as a source;"
            f" rename it, or name the folder above it, with --include {glob_of(path.name) + '/**'!r}"
        )
    return FolderSource(path=str(path), include=tuple(include), exclude=tuple(exclude), archives=archives)


def _files(paths: Sequence[Path], exclude: Sequence[str], archives: bool) -> "FolderSource":
    """Files are a folder, their nearest common one, with just these names in it."""
    root = Path(os.path.commonpath([path.parent for path in paths]))
    names = [path.relative_to(root) for path in paths]
    hidden = next((name for name in names if any(part.startswith(".") for part in name.parts)), None)
    if hidden is not None:
        raise click.UsageError(f"{str(hidden)!r} is hidden, and hidden files are skipped; name it without the dot")
    from phaseflow.components.sources.changed_files import left_out

    if skipped := left_out(root, [name.as_posix() for name in names]):
        raise click.UsageError(
            f"{str(root / skipped[0])!r} would not be read: a .gitignore leaves it out, it is not a regular file, or it"
            " belongs to phaseflow itself; leave it out, or copy it to another folder"
        )
    return _folder(root, [as_glob(name.as_posix()) for name in names], exclude, archives)


def as_glob(name: str) -> str:
    """The glob that matches this path under the root and no other."""
    escaped = "".join("\\" + letter if letter in _GLOB_CHARACTERS else letter for letter in uri_of(name))
    return "/" + escaped


def _one_folder(paths: Sequence[Path]) -> str:
    """What to do instead: a command for each folder, which the knowledge base then reads side by side."""
    shown = " and then ".join(f"ingest {shlex.quote(str(path))}" for path in paths[:2])
    return f"a folder is a source of its own: run ingest once for each with the same --kb ({shown}), or use two --kb"
