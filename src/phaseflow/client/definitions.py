"""What a knowledge base is to be, as the service takes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phaseflow.domain.settings import SOURCE, AnySource, Settings

Source = AnySource
SourceLike = Source | str | Path | Mapping[str, Any]
SettingsLike = Settings | Mapping[str, Any]


def definition(
    source: SourceLike | None, sources: Mapping[str, SourceLike] | None, settings: SettingsLike | None
) -> dict[str, Any]:
    """The part of a body that names sources and settings; what is None is left out, and stays as it is."""
    body: dict[str, Any] = {}
    if source is not None:
        body["source"] = _source(source)
    if sources is not None:
        body["sources"] = {name: _source(each) for name, each in sources.items()}
    if settings is not None:
        body["settings"] = dict(settings) if isinstance(settings, Mapping) else settings.model_dump(mode="json")
    return body


def _source(source: SourceLike) -> Any:
    if isinstance(source, Mapping):
        return dict(source)
    if isinstance(source, str | Path):
        return {"type": "folder", "path": str(source)}  # what is wrong with it, the service says
    return SOURCE.dump_python(source, mode="json")
