"""The engine's own copies of repositories: the latest commits of those that sources name, fetched when a job begins."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Lock
from typing import Any

from phaseflow.components.sources.git.objects import explained
from phaseflow.components.sources.git.pack_check import check_pack
from phaseflow.components.sources.git.refs import wanted
from phaseflow.components.sources.remote.faults import as_ours, denied, passing_fault
from phaseflow.domain.errors import ComponentUnavailable
from phaseflow.store.private_files import make_folder

_MAX_PACK = 1 << 30
"""Bytes of one fetch, packed."""
FETCH_S = 900.0
_UNUSED_S = 7 * 86_400.0
_KEPT = b"refs/kept/"


class Repositories:
    """A folder of bare repositories, readable by its owner only, one an address. Blocking.

    They hold what can be had again: ``purge`` and the loss of the folder cost a fetch. Those of no job for a week go.
    ``folder`` None: a temporary one, that ends with the process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._locks: dict[str, Lock] = {}
        self._used: dict[str, int] = {}
        self._changing = Lock()

    @contextmanager
    def using(self, url: str) -> Iterator[Path]:
        """The copy of a repository, kept at least for the length of the block; made when there is none."""
        name = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        with self._changing:
            self._used[name] = self._used.get(name, 0) + 1
        try:
            folder = self._made()
            self._remove(lambda path: time.time() - path.stat().st_mtime > _UNUSED_S)
            yield folder / name
        finally:
            with self._changing:
                self._used[name] -= 1

    def purge(self) -> None:
        """Remove all copies that no job uses just now."""
        self._remove(lambda _: True)

    def discard(self, place: Path) -> None:
        """Remove a copy that is damaged: the next fetch makes it anew."""
        with self.lock(place):
            shutil.rmtree(place, ignore_errors=True)

    def lock(self, place: Path) -> Lock:
        """Held while a copy is fetched into."""
        with self._changing:
            return self._locks.setdefault(place.name, Lock())

    @staticmethod
    def open(place: Path) -> Any:
        """Open a copy, which is made when there is none."""
        from dulwich.repo import Repo

        if not (place / "objects").is_dir():
            shutil.rmtree(place, ignore_errors=True)
            make_folder(place)
            return Repo.init_bare(str(place))
        return Repo(str(place))

    def _made(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="phaseflow-"))
        make_folder(self._folder)
        return self._folder

    def _remove(self, is_old: Callable[[Path], bool]) -> None:
        folder = self._folder
        if folder is None or not folder.is_dir():
            return
        for path in folder.iterdir():
            with self._changing:
                if not self._used.get(path.name) and is_old(path):
                    shutil.rmtree(path, ignore_errors=True)


class Fetch:
    """One fetch of one commit into a copy. ``stop`` ends it, from any thread, at the next byte, coming or unpacked."""

    def __init__(self, client: Any, path: str, ref: str | None, shown: str, max_pack: int = _MAX_PACK) -> None:
        self._client = client
        self._path = path
        self._ref = ref
        self._shown = shown
        self._max_pack = max_pack
        self._until = time.monotonic() + FETCH_S
        self._stopped = Event()
        self._answers: list[Any] = []
        self._pool = getattr(client, "pool_manager", None)
        if self._pool is not None:
            self._pool.request = partial(self._request, self._pool.request)

    def stop(self) -> None:
        self._stopped.set()

    def run(self, place: Path) -> bytes:
        """Fetch what is missing and return the id of the commit, or of the tag that leads to it."""
        with explained(self._shown):
            repository = Repositories.open(place)
        try:
            return self._fetch(repository, place)
        except ComponentUnavailable:
            raise
        except Exception as error:
            raise as_ours(error, self._shown) from error
        finally:
            repository.close()
            for unfinished in (place / "objects").glob("tmp_pack_*"):  # dulwich leaves what it could not take in
                unfinished.unlink(missing_ok=True)
            for answer in self._answers:  # dulwich closes those alone that it could use
                answer.close()
            if self._pool is not None:
                self._pool.clear()
            self._client.close()

    def _fetch(self, repository: Any, place: Path) -> bytes:
        chosen: list[bytes] = []

        def determine(refs: Any, depth: int | None = None) -> list[bytes]:
            chosen[:] = [wanted(refs, self._ref, self._shown)]
            with explained(self._shown):
                return [] if chosen[0] in repository.object_store else list(chosen)

        with tempfile.TemporaryFile(dir=place) as pack:
            count = 0

            def write(data: bytes) -> int:
                nonlocal count
                count += len(data)
                self._check(count)
                return pack.write(data)

            result = self._client.fetch_pack(
                os.fsencode(self._path), determine, repository.get_graph_walker(), write, lambda _: self._check(count),
                depth=1,
            )  # fmt: skip
            if result.object_format and result.object_format != repository.object_format.name:
                repository._change_object_format(result.object_format)
            if count:
                check_pack(pack, repository.object_format.oid_length, may_go_on=lambda: self._check(count))
                pack.seek(0)
                repository.object_store.add_thin_pack(pack.read, None, lambda _: self._check(count))
        repository.update_shallow(result.new_shallow, result.new_unshallow)
        if chosen[0] not in repository.object_store:
            raise ComponentUnavailable(f"{self._shown} did not send what it was asked for; try again later")
        repository.refs[_KEPT + hashlib.sha256((self._ref or "").encode()).hexdigest().encode()] = chosen[0]
        os.utime(place)
        return chosen[0]

    def _request(self, request: Callable[..., Any], *args: Any, **options: Any) -> Any:
        from phaseflow.components.sources.git.guarded_pool import RETRIES

        answer = request(*args, **{"retries": RETRIES, **options})
        self._answers.append(answer)
        # dulwich says of these that the answer was unexpected: neither which it was, nor how long to wait.
        if answer.status == 403:
            raise denied(answer.status, self._shown)
        if (fault := passing_fault(answer.status, answer.headers, self._shown)) is not None:
            raise fault
        return answer

    def _check(self, count: int) -> None:
        if self._stopped.is_set() or time.monotonic() > self._until:
            raise ComponentUnavailable(f"{self._shown} took more than {FETCH_S:.0f} s to fetch; try again later")
        if count > self._max_pack:
            raise ComponentUnavailable(
                f"{self._shown} sends more than the {self._max_pack:,} bytes that are fetched; give a smaller one"
            )
