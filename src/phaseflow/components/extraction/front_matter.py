"""What the front matter of a Markdown file says: YAML, as far as people write it there, and TOML."""

import re
import tomllib
from collections.abc import Iterator

from phaseflow.domain.values import MetadataValue

_LONGEST = 65_536
"""Characters: more is no front matter."""
_OWN = frozenset(("uri", "source", "media_type", "size", "modified_at", "indexed_at"))
"""Fields that a document has anyway."""
_KEY = re.compile(r"[\"']?([\w][\w .-]*?)[\"']?[ \t]*:(?:[ \t]+(.*))?$")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)$")
_BLOCK = re.compile(r"[|>][+-]?\d?[ \t]*(?:#.*)?$")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")
_INLINE_ITEM = re.compile(r"\s*(?:\"((?:[^\"\\]|\\.)*+)\"|'((?:[^']|'')*+)'|([^,\"']*))\s*(?:,|$)")
_LONGEST_LIST = 4_000
"""Characters of a list in one line that are looked at."""
_WORDS: dict[str, bool | None] = {"true": True, "yes": True, "false": False, "no": False, "null": None, "~": None}
_LONGEST_WORD = max(map(len, _WORDS))


def front_matter(text: str, *, is_toml: bool = False) -> dict[str, MetadataValue]:
    """Return texts, numbers, booleans and lists of texts by their names in small letters; what is nested is left out.

    Never raises: what cannot be followed says nothing.
    """
    if len(text) > _LONGEST:
        return {}
    found = _toml(text) if is_toml else _yaml(text)
    return {key: value for key, value in found if key not in _OWN and value not in ("", [])}


def _toml(text: str) -> Iterator[tuple[str, MetadataValue]]:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    for key, value in table.items():
        if isinstance(value, str | bool | int | float):
            yield key.lower(), value
        elif isinstance(value, list):
            yield key.lower(), [str(each) for each in value if isinstance(each, str | int | float)]
        elif not isinstance(value, dict):
            yield key.lower(), value.isoformat()


def _yaml(text: str) -> Iterator[tuple[str, MetadataValue]]:
    lines = text.split("\n")
    last = len(lines) - 1
    for place, line in enumerate(lines):
        found = _KEY.match(line)
        if not found:
            continue
        key, written = found.groups("")
        # Most are a text in one line, and the next begins another: nothing else need be asked.
        if written[:1].isalpha() and place < last and lines[place + 1][:1].isalpha():
            value = _unquoted(written)
        else:
            value = _value(written, list(_below(lines, place + 1)))
        if value is not None:
            yield key.lower(), value


def _unquoted(written: str) -> MetadataValue | None:
    bare = _bare(written)
    return _WORDS.get(bare.lower(), bare) if len(bare) <= _LONGEST_WORD else bare


def _below(lines: list[str], place: int) -> Iterator[str]:
    """Yield the lines that belong to the key before them."""
    for at in range(place, len(lines)):
        line = lines[at]
        if line.strip() and not line[0].isspace() and not _ITEM.match(line):
            return
        yield line


def _value(written: str, below: list[str]) -> MetadataValue | None:
    written = written.strip()
    if _BLOCK.match(written):
        return " ".join(" ".join(below).split())
    if written.startswith("#"):
        written = ""
    if not written:
        items = [found[1] for line in below if (found := _ITEM.match(line))]
        if items:
            return [text for item in items if not _KEY.match(item) and (text := _text(item))]
        # A mapping below is nested; other lines are a text that begins there.
        lines = [line.strip() for line in below if line.strip()]
        return None if any(map(_KEY.match, lines)) else _text(" ".join(lines))
    # No YAML library: its anchors and tags make a page of megabytes out of a few lines, and a page whose front matter
    # is not quite YAML should keep the keys that can be read.
    whole = " ".join([written, *(line.strip() for line in below if not line.lstrip().startswith("#"))]).strip()
    if whole.startswith("["):
        inside = whole[1:].partition("]")[0] if whole.count("]") == 1 else whole[1:].rpartition("]")[0]
        return [item for each in _INLINE_ITEM.findall(inside[:_LONGEST_LIST]) if (item := _inline(each))]
    if whole.startswith(("{", "&", "*", "!")):
        return None
    if whole[0] not in "\"'":
        bare = _bare(whole)
        if _NUMBER.fullmatch(bare):
            return float(bare) if "." in bare else int(bare)
        return _unquoted(whole)
    return _text(whole)


def _inline(item: tuple[str, str, str]) -> str:
    return (item[0].replace('\\"', '"') or item[1].replace("''", "'") or item[2]).strip()


def _text(written: str) -> str:
    written = written.strip()
    if written[:1] not in ('"', "'") or not written:
        return _bare(written)
    mark = written[0]
    end = written.rfind(mark)
    inner = written[1:end] if end > 0 else written[1:]
    return inner.replace("''", "'") if mark == "'" else inner.replace('\\"', '"')


def _bare(written: str) -> str:
    return written.partition(" #")[0].strip()
