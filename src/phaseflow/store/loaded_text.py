"""A document as the loading phase has read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from phaseflow.domain.vocabulary import OCR, PAGES_WITHOUT_TEXT
from phaseflow.store.texts import Parts


@dataclass(frozen=True, slots=True)
class LoadedText:
    """A document to be stored by loading. ``content_hash`` is hex, ``size`` in bytes, ``metadata`` found in it, and
    ``text_type`` the media type of its text, where that is another."""

    entry_id: int
    uri: str
    title: str
    media_type: str
    content_hash: str
    stamp: str | None
    text: str
    parts: Parts = ()
    source: str = "default"
    size: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    text_type: str | None = None

    @property
    def has_pages_without_text(self) -> bool:
        """Whether it is another document with another setting of OCR."""
        return bool(self.metadata.get(OCR) or self.metadata.get(PAGES_WITHOUT_TEXT))
