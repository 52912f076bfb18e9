"""What identifies the model of an embedder that a program has given: vectors of two models must never meet."""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from hashlib import blake2b
from pathlib import PurePath
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from phaseflow.components.given_fingerprint import checked_fingerprint

_MODEL = ("model", "model_name")
_KNOWN = (
    *_MODEL, "model_id", "deployment", "azure_deployment", "deployment_name", "endpoint", "base_url", "dimensions",
)  # fmt: skip
"""Looked for as properties too; others must be values that the object holds."""
_NAMES_MODEL = frozenset({
    "model", "models", "deployment", "endpoint", "engine", "repo", "checkpoint", "url", "uri", "base", "host", "path",
    "weights", "variant", "seed",
})  # fmt: skip
"""Words of an attribute's name that say which model it is."""
_ADDRESSES = frozenset({
    "endpoint", "url", "uri", "base", "host", "server", "address", "port", "region", "location", "project", "tenant",
})  # fmt: skip
"""Words of those that say where the model is asked, also in a client that the embedder wraps."""
_SHAPES_VECTORS = frozenset({
    "dimension", "dimensions", "dim", "dims", "size", "prefix", "instruction", "instructions", "instruct", "prompt",
    "normalize", "normalized", "pooling", "task", "type", "revision", "truncate", "precision", "quantization",
    "lang", "language", "dimensionality", "adapter", "version", "provider", "organization", "backend", "layer",
    "layers",
})  # fmt: skip
"""Words of an attribute's name that say how the model is used."""
_SECRET = frozenset({
    "key", "keys", "token", "secret", "password", "passwd", "credential", "credentials", "auth", "authorization",
    "cookie", "cookies", "header", "headers", "session", "profile",
})  # fmt: skip
_COUNTS = frozenset({
    "call", "calls", "count", "counts", "counter", "seen", "total", "used", "spent", "cost", "error", "errors",
    "failures",
    "asked", "answered", "tries", "attempts", "retries", "delay", "wait", "sleep", "seconds", "timeout", "limit", "max",
    "min", "most", "flight", "concurrency", "workers", "threads", "rate", "requests", "tokens", "texts", "port", "id",
})  # fmt: skip
"""Words of numbers that say how much was done, or how fast, and not with which model."""
_NOT_ABOUT_VECTORS = frozenset({"batch", "chunk", "cache", "retry", "timeout", "tiktoken", "ctx", "proxy", "log"})
_PYDANTICS = frozenset({"model_config", "model_fields", "model_computed_fields", "model_extra", "model_fields_set"})
_HARMLESS = sys.stdlib_module_names | {"anyio", "trio", "sniffio", "structlog"}
"""Packages whose objects (locks, events, clocks, loggers) hold no model."""
_LONGEST = 80
_FEW = 8
"""Objects of a list that are looked into."""
_DEEPEST = 3
_MOST = 500
"""Values looked at; an object that holds more is not an embedder's settings."""

_DIMENSION = ("dimension", "dimensions")

Found = dict[str, str]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What vectors are kept under: ``value``.

    ``former`` is what they were kept under before ``dimension`` was part of it, where nothing else is new.
    """

    value: str
    former: str | None = None
    dimension: int | None = None


def fingerprint_of(embedder: Any) -> Fingerprint:
    """The ``fingerprint`` of an embedder, else its class with all that identifies its model. Never a secret.

    Raises TypeError where it holds something that may decide the model but does not say which it is: a guess would
    put the vectors of two models into one index.
    """
    given = getattr(embedder, "fingerprint", None)
    if isinstance(given, str):
        return Fingerprint(checked_fingerprint(embedder, given))
    kind = embedder if isinstance(embedder, type | ModuleType) else type(embedder)
    name = kind.__name__ if isinstance(kind, ModuleType) else f"{kind.__module__}.{kind.__qualname__}"
    model = next((value for value in (_read(embedder, name) for name in _MODEL) if isinstance(value, str)), None)
    found = _Search().identifying(embedder, has_model=bool(model))
    if not model and not any(_words(part) & _NAMES_MODEL for part in found) and _Search().may_hide(embedder):
        raise TypeError(
            f"nothing says which model this {kind.__name__} uses: give it an attribute `fingerprint`, a string such as "
            "'my-model:384' that changes whenever its vectors do"
        )
    rest = sorted(f"{part}={value}" for part, value in found.items())
    front = ":".join(filter(None, (name, model and _shown(model))))
    dimension = next((int(found[part]) for part in _DIMENSION if found.get(part, "").isdigit()), None)
    former = front if dimension is not None and found.keys() <= set(_DIMENSION) else None
    return Fingerprint(":".join((front, *rest)), former, dimension)


class _Search:
    """One walk through what an object holds, bounded in depth and number."""

    def __init__(self) -> None:
        self._left = _MOST
        self._seen: set[int] = set()

    def identifying(self, holder: Any, *, has_model: bool, depth: int = 0, addresses: bool = False) -> Found:
        """What identifies the model, by name. Of deeper objects all counts where their holder names no model itself,
        else (``addresses``) only where they ask."""
        found: Found = {}
        deeper: list[tuple[str, Any]] = []
        defaults = _defaults(holder)
        for name, held in self._held(holder):
            value = held
            if has_model and name in _MODEL and isinstance(value, str) and depth == 0:
                continue  # stands in front
            words = _words(name)
            is_model = bool(words & (_ADDRESSES if addresses else _NAMES_MODEL | _ADDRESSES))
            value = _plain(value) if is_model or words & _SHAPES_VECTORS else value
            is_plain = isinstance(value, str | int | float | PurePath | Enum)
            if is_plain and (is_model or (words & _SHAPES_VECTORS and not addresses)):
                # A default that a new release of a library adds would change the fingerprint of an embedder that nobody
                # has touched, and all its texts would be paid for again. A default that alone says which model it is
                # must count.
                at_default = name in defaults and defaults[name] == value
                if value != "" and not (at_default and (has_model or not is_model)):
                    found[name.lstrip("_")] = _shown(value)
            elif not is_plain:
                deeper += [(name.lstrip("_") + place, each) for place, each in _inside(value)]
        # Only now is it known whether this level names its model, which decides what counts of the levels below; so
        # those are looked into last, whatever the order of the attributes.
        names_model = has_model or any(_words(name) & _NAMES_MODEL for name in found)
        for name, value in deeper if depth < _DEEPEST else ():
            only = addresses or (names_model and not isinstance(value, Mapping))
            inner = self.identifying(value, has_model=names_model, depth=depth + 1, addresses=only)
            found |= {f"{name}.{part}": shown for part, shown in inner.items()}
        return found

    def may_hide(self, holder: Any, depth: int = 0) -> bool:
        """Whether an object holds a text, a function or an object that may decide which model it uses."""
        held = [*self._held(holder), *(("", value) for value in _closed_over(holder))]
        return any(self._hides(name, value, depth) for name, value in held)

    def _hides(self, name: str, value: Any, depth: int) -> bool:
        if isinstance(value, int | float):
            return not isinstance(value, bool) and bool(value) and not _words(name) & (_COUNTS | _SHAPES_VECTORS)
        if isinstance(value, str | bytes | PurePath):
            return len(str(value)) > 0
        if isinstance(value, Mapping):
            return any(isinstance(each, str) for each in value.values())
        if isinstance(value, list | tuple | set | frozenset):
            return any(isinstance(each, str) for each in value)
        if isinstance(value, type) or not (callable(value) or _is_foreign(value)):
            return False
        if isinstance(value, BaseException):
            return False
        # What cannot be looked into (a function, an object with slots or of C) counts as hiding a model. Wrong in that
        # direction, a program is asked for a fingerprint; wrong in the other, two models share an index and nobody
        # notices.
        is_open = hasattr(value, "__dict__") and not callable(value)
        return depth >= _DEEPEST or not is_open or self.may_hide(value, depth + 1)

    def _held(self, holder: Any) -> Iterator[tuple[str, Any]]:
        """The values an object holds, by name, without secrets and what has nothing to do with vectors."""
        if id(holder) in self._seen:
            return
        self._seen.add(id(holder))
        for name, value in _all_held(holder).items():
            self._left -= 1
            if self._left < 0:
                return
            is_secret = _words(name) & (_SECRET | _NOT_ABOUT_VECTORS) or hasattr(value, "get_secret_value")
            if not (is_secret or name.startswith("__") or name in _PYDANTICS or value is None):
                yield name, value


def _all_held(holder: Any) -> dict[str, Any]:
    if isinstance(holder, Mapping):
        return {name: value for name, value in holder.items() if isinstance(name, str)}
    held: dict[str, Any] = {}
    kind = holder if isinstance(holder, type) else type(holder)
    # Not dir(): that runs the properties of a stranger's code, of which some connect to a server.
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] not in {"builtins", "typing", "pydantic", "abc"}:
            plain = (item for item in vars(base).items() if isinstance(item[1], str | int | float | PurePath | Enum))
            held.update((name, value) for name, value in plain if not name.startswith("_"))
            slots = base.__dict__.get("__slots__", ())
            names = (slots,) if isinstance(slots, str) else tuple(slots)
            held.update((name, _read(holder, name)) for name in names if not name.startswith("__"))
    if isinstance(holder, ModuleType):
        held.update((name, value) for name, value in vars(holder).items() if isinstance(value, str | int | float))
    elif not isinstance(holder, type):
        held.update(getattr(holder, "__dict__", {}))
    for name in _KNOWN:
        value = _read(holder, name)
        if value is not None and not callable(value):
            held.setdefault(name, value)
    return held


def _read(holder: Any, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001  # a property of foreign code; one that cannot be read identifies nothing
        return None


def _defaults(holder: Any) -> dict[str, Any]:
    declared = getattr(type(holder), "model_fields", None)
    if isinstance(declared, Mapping):
        return {name: getattr(field, "default", None) for name, field in declared.items()}
    return {field.name: field.default for field in fields(holder)} if is_dataclass(holder) else {}


def _closed_over(holder: Any) -> Iterator[Any]:
    """What the methods of a class that was made inside a function take from that function, and their defaults."""
    for name in ("embed_documents", "embed_query"):
        method = getattr(holder, name, None)
        function = getattr(method, "__func__", method)
        for cell in getattr(function, "__closure__", None) or ():
            with suppress(ValueError):  # one that is still empty
                yield cell.cell_contents
        yield from (getattr(function, "__kwdefaults__", None) or {}).values()
        yield from getattr(function, "__defaults__", None) or ()


def _plain(value: Any) -> Any:
    """A list of words, or an address as an object of its own, as one text; anything else as it is."""
    if (
        isinstance(value, list | tuple | set | frozenset)
        and value
        and all(isinstance(each, str | int) for each in value)
    ):
        return ",".join(sorted(map(str, value)) if isinstance(value, set | frozenset) else map(str, value))
    if type(value).__name__.lower().endswith("url"):
        return str(value)
    return value


def _inside(value: Any) -> list[tuple[str, Any]]:
    """The objects to look into, with where they stand in it."""
    if isinstance(value, list | tuple):
        return [(f".{number}", each) for number, each in enumerate(value[:_FEW]) if _is_foreign(each)]
    return [("", value)] if isinstance(value, Mapping) or _is_foreign(value) else []


def _is_foreign(value: Any) -> bool:
    if isinstance(value, SimpleNamespace):
        return True
    return type(value).__module__.partition(".")[0] not in _HARMLESS and not isinstance(value, type | BaseException)


def _words(name: str) -> set[str]:
    """The words of ``model_name``, ``modelName`` and ``_client.model``."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def _shown(value: Any) -> str:
    text = str(value.value if isinstance(value, Enum) else value)
    if "://" in text:
        text = _without_secrets(text)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:24]}…{blake2b(text.encode(), digest_size=8).hexdigest()}"


def _without_secrets(address: str) -> str:
    try:
        parts = urlsplit(address)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")
    except ValueError:
        return blake2b(address.encode(), digest_size=8).hexdigest()
