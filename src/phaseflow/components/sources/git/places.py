"""Where a repository is: on this machine, or behind an address."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from phaseflow.components.sources.git.objects import explained
from phaseflow.components.sources.remote.connections import NamedConnection
from phaseflow.components.sources.web.ssrf import Addresses
from phaseflow.domain.errors import ComponentUnavailable, InvalidRequest, MissingExtra, SourceNotAllowed
from phaseflow.domain.remote_sources import protocol_of

CONNECT_S = 10.0
PROTOCOLS = frozenset({"http", "https", "git", "ssh", "git+ssh"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository is, by the address that its source gives."""

    url: str

    @property
    def path(self) -> Path | None:
        """The path that the address means on this machine; None for one elsewhere."""
        protocol = protocol_of(self.url)
        if protocol == "file":
            return Path(unquote(urlsplit(self.url).path))
        return None if protocol else Path(self.url)

    def check(self) -> None:
        """Raise InvalidRequest for what is not the address of a repository, or when what reads them is not
        installed."""
        try:
            import dulwich  # noqa: F401  # only whether it is there
        except ModuleNotFoundError as error:
            raise InvalidRequest("source", str(MissingExtra("a source of type git", "git"))) from error
        path = self.path
        if path is None and protocol_of(self.url) not in PROTOCOLS:
            known = ", ".join(f"{each}://" for each in sorted(PROTOCOLS))
            raise InvalidRequest("source.url", f"a repository has an address of {known} or file://, or a path")
        if path is not None and not path.is_absolute():
            raise InvalidRequest("source.url", "a repository on this machine is named by its full path")

    def check_below(self, roots: Sequence[str] | None) -> None:
        """Raise SourceNotAllowed when it is on this machine, outside ``roots``, links resolved."""
        if self.path is not None:
            _check_below(self.path, roots)

    def open_here(self, roots: Sequence[str] | None) -> Any:
        """Open a repository on this machine.

        Raises ComponentUnavailable when there is none, and SourceNotAllowed when any part of it (its objects, those
        that it borrows) lies outside ``roots``.
        """
        from dulwich.errors import NotGitRepository
        from dulwich.repo import Repo

        path = self.path
        assert path is not None
        _check_below(path, roots)
        with explained(self.url):
            try:
                repository = Repo(str(path))
            except (NotGitRepository, OSError, ValueError) as error:
                raise ComponentUnavailable(f"there is no repository at {self.url}; check its path") from error
        try:
            with explained(self.url):
                parts = _parts(repository)
            for part in parts:
                _check_below(part, roots)
        except BaseException:
            repository.close()
            raise
        return repository

    def client(self, connection: NamedConnection | None, addresses_of: Addresses | None) -> tuple[Any, str]:
        """What speaks to a repository elsewhere, and its path there."""
        from dulwich.client import get_transport_and_path_from_url
        from dulwich.config import ConfigDict

        options: dict[str, Any] = {}
        if addresses_of is not None:
            from phaseflow.components.sources.git.guarded_pool import guarded_pool

            options = {"pool_manager": guarded_pool(addresses_of), "config": ConfigDict()}
        if connection is not None:
            try:
                options |= connection.given_for(self.url)
            except SourceNotAllowed as error:
                raise ComponentUnavailable(str(error)) from error
        try:
            client, path = get_transport_and_path_from_url(self.url, operation="pull", quiet=True, **options)
        except (TypeError, ValueError) as error:
            message = f"{self.url} cannot be opened ({error}); check the address and its connection"
            raise ComponentUnavailable(message) from error
        if getattr(client, "pool_manager", None) is not None:
            from phaseflow.components.sources.git.guarded_pool import keep_headers

            keep_headers(client.pool_manager, self.url)
        return client, path


def _check_below(path: Path, roots: Sequence[str] | None) -> None:
    if roots is None:
        return
    try:
        found = path.resolve()
    except (OSError, RuntimeError, ValueError):
        found = None
    if found is None or not any(found.is_relative_to(root) for root in roots):
        raise SourceNotAllowed(
            "this server may not read that repository; name one under the folders it was started for"
            " (serve --allow-root), or an http(s) address"
        )


def _parts(repository: Any) -> list[Path]:
    """The folders that a repository is made of, as far as they can be elsewhere: by a file that says so, or a link."""
    stores = [repository.object_store, *repository.object_store.alternates]
    folders = [Path(os.fsdecode(store.path)) for store in stores]
    parts = [Path(os.fsdecode(repository.controldir())), Path(os.fsdecode(repository.commondir())), *folders]
    for folder in folders:
        parts += [each for each in folder.iterdir() if each.is_symlink()]
        packs = folder / "pack"
        parts += [each for each in packs.iterdir() if each.is_symlink()] if packs.is_dir() else []
    return parts
