"""What comes in as JSON or in short forms, as the values that the engine works with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.settings import SOURCE, FolderSource, Settings, UploadSource, WebSource
from phaseflow.domain.vocabulary import PHASES, JobPhase

Source = FolderSource | WebSource | UploadSource
SourceLike = Source | str | Path | Mapping[str, Any]
SettingsLike = Settings | Mapping[str, Any]


def as_settings(settings: SettingsLike | None) -> Settings | None:
    """Settings from their JSON shape. Raises InvalidRequest, naming the field."""
    if settings is None or isinstance(settings, Settings):
        return settings
    try:
        return Settings.model_validate(dict(settings))
    except ValidationError as error:
        raise invalid("settings", error) from error


def as_source(source: SourceLike) -> Source:
    """A source from its JSON shape; a string or a path is a folder. Raises InvalidRequest, naming the field."""
    if isinstance(source, str | Path):
        return FolderSource(str(source))
    if not isinstance(source, Mapping):
        return source
    try:
        return SOURCE.validate_python(dict(source))
    except ValidationError as error:
        raise invalid("source", error) from error


def as_phase(name: JobPhase | str) -> JobPhase:
    """A phase by its name. Raises InvalidRequest."""
    try:
        return JobPhase(name)
    except ValueError:
        raise InvalidRequest("phase", f"{name!r} is none of {', '.join(PHASES)}") from None


def invalid(root: str, error: ValidationError) -> InvalidRequest:
    """The first fault that pydantic found, as an error of ours."""
    first = error.errors(include_url=False)[0]
    return InvalidRequest(".".join([root, *map(str, first["loc"])]), first["msg"])
