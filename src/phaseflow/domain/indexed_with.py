"""With which settings and components what search sees was made, and what the next job would make again."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from phaseflow.domain.counting import counted
from phaseflow.domain.settings import (
    EmbeddedIndexSettings,
    EmbedderSettings,
    IndexSettings,
    NamedEmbedderSettings,
    OpenAIEmbedderSettings,
    Settings,
)

_VALUE = ConfigDict(frozen=True, extra="forbid")
CUT_AGAIN = "every document is cut again, and passages whose text changes are embedded again"
READ_AGAIN = "every document that it reads is cut again, and passages whose text changes are embedded again"
EMBEDDED_AGAIN = "every passage is embedded again"
SOME_AGAIN = "documents that could not be read since are made again if they can be"
_MOVED = "its vectors are copied there; nothing is read or embedded again"
OWN_INDEX = "own"
"""The fingerprint of an index that the program has given: there is one."""
BUILT_IN = "built-in"
"""Stands for the chunker that comes along, where it has cut beside one of a program."""
_AND = " and "
PHASEFLOW = "phaseflow_version"
"""In place of a setting: what phaseflow itself decides about passages has changed since the index was made."""
_WHAT_CUTS = ("chunker", "chunk_size", "chunk_overlap")
_OF_DOCUMENTS = (*_WHAT_CUTS, PHASEFLOW)
_WHAT_MAKES_VECTORS = ("base_url", "model", "dimensions", "query_prefix", "document_prefix")


class CustomComponent(BaseModel):
    """A component that a program has given; ``fingerprint`` is what it is told by."""

    model_config = _VALUE
    type: Literal["custom"] = "custom"
    fingerprint: str


class StaleSetting(BaseModel):
    """A setting that is not the one that made the index (or ``phaseflow_version``), and what the next job does about
    it, in words."""

    model_config = _VALUE
    setting: str
    cost: str

    @property
    def called(self) -> str:
        """The setting as it stands in a sentence."""
        return "version of phaseflow" if self.setting == PHASEFLOW else self.setting


class IndexedWith(BaseModel):
    """What an index was made with. With a chunker of a program's own the sizes are null: they had no say. ``rules`` is
    what phaseflow itself decides, by its versions; null where that is not known. Where a job was resumed by another
    version, or with another chunker, the rules, or the fingerprints, of all of them are joined with "and"."""

    model_config = _VALUE
    chunk_size: int | None
    chunk_overlap: int | None
    chunker: CustomComponent | None = None
    embedder: EmbedderSettings | CustomComponent
    index: IndexSettings | CustomComponent = EmbeddedIndexSettings()
    rules: str | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        chunker: str | None = None,
        embedder: str | None = None,
        index: str | None = None,
        rules: str | None = None,
    ) -> Self:
        """What these settings make, with the fingerprints of a program's own components in place of theirs."""
        own = chunker is not None
        return cls(
            chunk_size=None if own else settings.chunk_size,
            chunk_overlap=None if own else settings.chunk_overlap,
            chunker=None if chunker is None else CustomComponent(fingerprint=chunker),
            embedder=settings.embedder if embedder is None else CustomComponent(fingerprint=embedder),
            index=settings.index if index is None else CustomComponent(fingerprint=index),
            rules=rules,
        )

    @property
    def shown(self) -> "IndexedWith":
        """The same without who chose an address, which is for the engine alone."""
        if not isinstance(self.embedder, OpenAIEmbedderSettings):
            return self
        return self.model_copy(update={"embedder": self.embedder.model_copy(update={"chosen_by_client": False})})

    @property
    def made_by_program(self) -> str | None:
        """That components which no settings name have made an index, and which; None where settings say all."""
        named = zip(("chunker", "embedder", "index"), (self.chunker, self.embedder, self.index), strict=True)
        own = [name for name, part in named if isinstance(part, CustomComponent)]
        if not own:
            return None
        return f"made by a program with its own {' and '.join(own)}, in place of what these settings name"

    def along_with(self, earlier: "IndexedWith") -> "IndexedWith":
        """What made documents of which some were made ``earlier`` by other rules or another chunker: it differs from
        either, so the next job makes again what it would make otherwise."""
        chunker, cut = self.chunker, [each for each in (earlier, self) if each.chunker is not None]
        if earlier.chunker != chunker:
            named = [BUILT_IN if each.chunker is None else each.chunker.fingerprint for each in (earlier, self)]
            chunker = CustomComponent(fingerprint=_joined(named))
        rules = [each.rules for each in cut or (earlier, self) if each.rules is not None]
        sizes = {} if chunker is None else {"chunk_size": None, "chunk_overlap": None}
        return self.model_copy(update={"chunker": chunker, "rules": _joined(rules) if rules else None, **sizes})

    def stale(self, following: "IndexedWith") -> list[StaleSetting]:
        """What differs between what made an index and what the next job would use."""
        found = [StaleSetting(setting=name, cost=CUT_AGAIN) for name in _WHAT_CUTS if self._differs(following, name)]
        if _maker(self.embedder) != _maker(following.embedder):
            found.append(StaleSetting(setting="embedder", cost=EMBEDDED_AGAIN))
        if self.index != following.index:
            found.append(StaleSetting(setting="index", cost=_MOVED))
        if self._is_by_other_rules(following):
            found.append(StaleSetting(setting=PHASEFLOW, cost=READ_AGAIN))
        return found

    def cuts_otherwise(self, following: "IndexedWith") -> bool:
        """Whether the next job cuts documents in another way than those of the index are cut."""
        return any(self._differs(following, name) for name in _WHAT_CUTS)

    def _is_by_other_rules(self, following: "IndexedWith") -> bool:
        if self.rules is None or following.rules is None or (self.chunker is None) != (following.chunker is None):
            return False
        return self.rules != following.rules

    def _differs(self, following: "IndexedWith", name: str) -> bool:
        return bool(getattr(self, name) != getattr(following, name))


class LiveIndex(IndexedWith):
    """What search sees was made like this, as it is stored. ``older_in``: settings (``phaseflow_version`` too) by which
    some documents are older, since they could not be read when the others were made again."""

    older_in: tuple[str, ...] = ()

    @property
    def shown(self) -> IndexedWith:
        """What was made with, for people."""
        found = IndexedWith(**{name: getattr(self, name) for name in IndexedWith.model_fields})
        return found.shown

    def older_settings(self, before: "LiveIndex") -> tuple[str, ...]:
        """By which settings a document is older that a job with these has left as it was ``before``. Not by those that
        it would be embedded with, or where its vectors are: it has them."""
        changed = [each.setting for each in before.stale(self)]
        return tuple(dict.fromkeys(name for name in (*before.older_in, *changed) if name in _OF_DOCUMENTS))

    def all_stale(self, following: IndexedWith) -> list[StaleSetting]:
        """What ``stale`` tells, and what holds of some documents alone."""
        found = self.stale(following)
        told = {each.setting for each in found}
        return found + [StaleSetting(setting=name, cost=SOME_AGAIN) for name in self.older_in if name not in told]


def _joined(parts: Sequence[str]) -> str:
    """Each part once, in the order in which they came: what is joined again with one of its parts stays as it is."""
    return _AND.join(dict.fromkeys(piece for part in parts for piece in part.split(_AND)))


@lru_cache(maxsize=256)
def made_by(live_settings: str) -> "EmbedderSettings | CustomComponent":
    """What made the vectors of an index that was indexed with these settings (JSON): each search asks for it anew."""
    return LiveIndex.model_validate_json(live_settings).embedder


def made_again(found: Sequence[StaleSetting], documents: int, passages: int) -> str | None:
    """What a job makes again of an index that has so many documents and passages, and why; None for nothing. A verb of
    which the knowledge base is the subject. What holds of some documents alone is not counted."""
    found = [each for each in found if each.cost != SOME_AGAIN]
    if not found or not documents:
        return None
    return f"{why_made_again(found)} ({counted(passages, 'passage')} of {counted(documents, 'document')})"


def why_made_again(found: Sequence[StaleSetting]) -> str:
    """The same without the size. At least one setting is ``found``."""
    costs = list(dict.fromkeys(each.cost for each in found))
    settings = " and ".join(each.called for each in found)
    return f"was indexed with another {settings}: {'; '.join(costs)}"


def _maker(embedder: EmbedderSettings | CustomComponent) -> tuple[Any, ...]:
    """What decides about the vectors; how fast a server is asked does not."""
    if isinstance(embedder, CustomComponent):
        return "custom", embedder.fingerprint
    if isinstance(embedder, NamedEmbedderSettings):
        return "named", embedder.server
    return (embedder.type, *(str(getattr(embedder, name, None)) for name in _WHAT_MAKES_VECTORS))
