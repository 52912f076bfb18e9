"""Which folders the service may read."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from phaseflow.domain.errors import SourceNotAllowed
from phaseflow.domain.settings import FolderSource, as_given
from phaseflow.flow.inputs import Source


class AllowedRoots:
    """A check of sources for ``PhaseFlow(check_source=…)``: folders must lie under one of the roots, links resolved.

    The engine also opens folders below these roots, so that what was allowed is what is read.
    """

    def __init__(self, roots: Iterable[str | Path]) -> None:
        self._roots = [Path(root).expanduser().resolve() for root in roots]

    @property
    def roots(self) -> Sequence[str]:
        """Their real paths."""
        return [str(root) for root in self._roots]

    def __call__(self, source: Source) -> None:
        """Raise SourceNotAllowed for a folder outside. Says the same whether the folder exists or not. Blocking."""
        if not isinstance(source, FolderSource):
            return
        try:
            path = Path(source.path).expanduser().resolve()
        except (OSError, RuntimeError, ValueError):
            raise self._refusal(source) from None
        if not any(path.is_relative_to(root) for root in self._roots):
            raise self._refusal(source)

    def _refusal(self, source: FolderSource) -> SourceNotAllowed:
        return SourceNotAllowed(
            f"this server may not read the folder {as_given(source.path)!r}; name one under the folders"
            " it was started for (serve --allow-root)"
        )
