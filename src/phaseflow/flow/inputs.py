"""What callers give, in JSON or in short forms, as the values that the engine works with.

All raise InvalidRequest, naming the parameter and what it takes, also for a value of a wrong kind.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.identifiers import check_whole
from phaseflow.domain.remote_sources import protocol_of
from phaseflow.domain.settings import (
    DEFAULT_SOURCE,
    SOURCE,
    SOURCES,
    AnySource,
    Settings,
)
from phaseflow.domain.sync import SHORTEST_S
from phaseflow.domain.validation import first_fault
from phaseflow.domain.values import kind_of
from phaseflow.domain.vocabulary import PHASES, Action, JobPhase

if TYPE_CHECKING:
    from phaseflow.components.workers.protocol import Workers
    from phaseflow.domain.new_document import NewDocument

    WorkersLike = int | str | Workers

T = TypeVar("T")

Source = AnySource
SourceLike = Source | str | Path | Mapping[str, Any]
SettingsLike = Settings | Mapping[str, Any]
File = str | Path | tuple[str, bytes]

_MOST_DAYS = 36_500
MOST_ITEMS = 1000
"""Items of a list in one answer."""
CURSOR = "after:"
"""Begins the cursor of a list by name: any other text would be a place in the list, too."""

_SCHEMES = ("http://", "https://")
GIT_PREFIX = "git+"


def as_settings(settings: SettingsLike | None) -> Settings | None:
    """Settings from their JSON shape."""
    if settings is None:
        return None
    if not isinstance(settings, Settings | Mapping):
        raise _wrong("settings", "Settings or a mapping of their JSON shape", settings)
    try:
        found = settings if isinstance(settings, Settings) else Settings.model_validate(dict(settings))
    except ValidationError as error:
        raise _invalid("settings", error) from error
    if found.sync is not None and found.sync.is_too_often:
        raise InvalidRequest("settings.sync.every", f"is at least {SHORTEST_S}s; {found.sync.every} is too often")
    return found


def as_source(source: SourceLike) -> Source:
    """A source from its JSON shape. A string is an address if it begins like one: of a Git repository after ``git+``,
    of the web after ``http``, else of what fsspec reaches. Any other is a folder; so is a path."""
    if isinstance(source, str) and source.lower().startswith(_SCHEMES):
        return as_source({"type": "web", "urls": [source]})
    if isinstance(source, str) and protocol_of(source):
        is_git = source.lower().startswith(GIT_PREFIX)
        return as_source(
            {"type": "git", "url": source[len(GIT_PREFIX) :]} if is_git else {"type": "fsspec", "url": source}
        )
    if isinstance(source, str | Path):
        source = {"type": "folder", "path": str(source)}
    if isinstance(source, Source):
        return source
    if not isinstance(source, Mapping):
        raise _wrong(
            "source", "a path, an address, a source such as FolderSource, or a mapping of its JSON shape", source
        )
    try:
        return SOURCE.validate_python(dict(source))
    except ValidationError as error:
        raise _invalid("source", error) from error


def as_sources(source: SourceLike | None, sources: Mapping[str, SourceLike] | None) -> dict[str, Source] | None:
    """The sources by name; ``source`` alone is one named ``default``. None when neither is given."""
    if source is not None and sources is not None:
        raise InvalidRequest("sources", "give either source or sources; source is short for one named default")
    if source is not None:
        return {DEFAULT_SOURCE: as_source(source)}
    if sources is None:
        return None
    if not isinstance(sources, Mapping):
        raise _wrong("sources", "a mapping of names to sources", sources)
    found = {name: as_source(each) for name, each in sources.items()}
    try:
        return SOURCES.validate_python(found)
    except ValidationError as error:
        raise _invalid("sources", error) from error


def as_phase(name: JobPhase | str, field: str = "phase") -> JobPhase:
    """A phase by its name."""
    try:
        return JobPhase(name)
    except ValueError:
        raise InvalidRequest(field, f"{name!r} is none of {', '.join(PHASES)}") from None


def as_action(name: Action | str) -> Action:
    """A verb on a job that there is, by its name."""
    verbs = [action for action in Action if action is not Action.START]
    if name not in verbs:
        raise InvalidRequest("action", f"{name!r} is none of {', '.join(verbs)}")
    return Action(name)


def as_phases(names: Iterable[JobPhase | str]) -> list[JobPhase]:
    """Phases to hold, by their names."""
    several = _several("hold", "a list of phases", names)
    return [as_phase(name, f"hold.{number}") for number, name in enumerate(several)]


def as_files(files: Iterable[File]) -> Iterable[File]:
    """Files to take in, each checked when its turn comes."""
    for file in _several("files", "a list of paths, or of (name, bytes)", files):
        match file:
            case str() | Path() | (str(), bytes() | bytearray() | memoryview()):
                yield file
            case _:
                raise _wrong("files", "a list of paths, or of (name, bytes)", file)


def as_new_documents(documents: "Iterable[NewDocument | Mapping[str, Any]]") -> "list[NewDocument]":
    """Texts to take in, each checked."""
    several = _several("documents", "a list of NewDocument, or of mappings of their JSON shape", documents)
    return [_as_new_document(number, document) for number, document in enumerate(several)]


def _as_new_document(number: int, document: "NewDocument | Mapping[str, Any]") -> "NewDocument":
    from phaseflow.domain.new_document import NewDocument

    if isinstance(document, NewDocument):
        return document
    if not isinstance(document, Mapping):
        raise _wrong("documents", "a list of NewDocument, or of mappings of their JSON shape", document)
    try:
        return NewDocument.model_validate(dict(document))
    except ValidationError as error:
        raise _invalid(f"documents.{number}", error) from error


def as_names(field: str, names: Collection[str]) -> list[str]:
    """Some names; one string is not taken for the names of its letters."""
    return [as_text(field, name) for name in _several(field, "a list of names", names)]


def as_text(field: str, value: str) -> str:
    """Text that can be stored."""
    if not isinstance(value, str):
        raise _wrong(field, "a string", value)
    return check_whole(field, value)


def as_path(field: str, value: str | Path) -> Path:
    """A place on this machine; a string that is one."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise _wrong(field, "a path", value)
    return Path(check_whole(field, value))


def as_count(field: str, value: int, least: int, most: int | None = None) -> int:
    """A whole number within its bounds."""
    bounds = f"{least} to {most}" if most is not None else f"{least} or more"
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(field, bounds, value)
    if value < least or (most is not None and value > most):
        raise InvalidRequest(field, f"must be {bounds}")
    return value


def as_cursor_number(cursor: str | None) -> int | None:
    """The number that a list has given as its cursor; None at the start."""
    if cursor is None:
        return None
    if not (as_text("cursor", cursor).isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise foreign_cursor()
    return int(cursor)


def cursor_after(name: str) -> str:
    """The cursor of a list by name, behind this one."""
    return CURSOR + name


def as_cursor_name(cursor: str | None) -> str:
    """The name behind which ``cursor`` stands; the empty one at the start."""
    if cursor is None:
        return ""
    if not as_text("cursor", cursor).startswith(CURSOR):
        raise foreign_cursor()
    return cursor.removeprefix(CURSOR)


def foreign_cursor() -> InvalidRequest:
    """What a cursor is answered with that no page can have ended with."""
    return InvalidRequest("cursor", "is not one that this list has given; leave it out to begin at the start")


def as_days(field: str, value: float) -> float:
    """A number of days, parts of one too."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(field, f"a number of days, 0 to {_MOST_DAYS}", value)
    if not 0 <= value <= _MOST_DAYS:
        raise InvalidRequest(field, f"must be a number of days, 0 to {_MOST_DAYS}")
    return value


def as_flag(field: str, value: bool) -> bool:
    """True or False, and nothing that only counts as one of them."""
    if not isinstance(value, bool):
        raise _wrong(field, "True or False", value)
    return value


def as_url(embedding_url: str | None) -> str | None:
    """The address of the one server that gets the key, if there is one."""
    return None if embedding_url is None else as_text("embedding_url", embedding_url)


def as_kind(field: str, value: T | None, kind: type[T]) -> T:
    """One of this class; None: one as it is by default."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise _wrong(field, f"of the class {kind.__name__}", value)
    return value


def as_function(field: str, value: T | None) -> T | None:
    """Something that can be called."""
    if value is not None and not callable(value):
        raise _wrong(field, "a function", value)
    return value


def _several(field: str, wanted: str, values: Iterable[T]) -> Iterable[T]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise _wrong(field, wanted, values)
    return values


def _wrong(field: str, wanted: str, given: object) -> InvalidRequest:
    return InvalidRequest(field, f"must be {wanted}, not {kind_of(given)}")


def _invalid(root: str, error: ValidationError) -> InvalidRequest:
    """The first fault that was found, as an error of ours."""
    fault = first_fault(error, root)
    return InvalidRequest(fault.place, fault.problem)
