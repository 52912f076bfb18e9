"""The values that go into an extractor and come out of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from posixpath import basename

from phaseflow.domain.values import MetadataValue

Parts = tuple[tuple[int, str], ...]
"""Where the parts of a document begin in its text, ascending, and what they are called."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A document before extraction. ``charset`` is what its carrier (an HTTP header) declares."""

    data: bytes
    name: str
    charset: str | None = None

    @property
    def base_name(self) -> str:
        """The last part of the name: the title of a document that has none of its own."""
        return basename(self.name.rstrip("/")) or self.name


@dataclass(frozen=True, slots=True)
class Extracted:
    """A document as text.

    ``text`` has ``\\n`` line ends, no NUL and no lone surrogate. ``media_type`` is that of ``text``: an HTML page
    comes out as ``text/markdown``; ``read_as`` is that of the document, where it is another one. ``parts`` and
    ``metadata`` are those of ``Document``.
    """

    text: str
    title: str
    media_type: str
    parts: Parts = ()
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    read_as: str | None = None


Extractor = Callable[[Raw], Extracted]
"""Blocking and free of side effects. Raises DocumentError when there is no text to be had."""
