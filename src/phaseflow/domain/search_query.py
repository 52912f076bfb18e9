"""What a query asks for: its words, and the things in it that are to stand in a text as they are written."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, NamedTuple

from phaseflow.domain.words import has_unspaced, indexed_words, is_unspaced, normalised

LONGEST_QUERY: Final = 2000
"""Characters."""
MOST_EXACT: Final = 8
"""Exact things of a query that are looked up; further ones count as words."""
_FEW_WORDS: Final = 8
"""Of a short question. In longer ones, what is written without a space as one thing, however many passages hold it,
made rankings 2 % worse."""
_QUOTED: Final = re.compile(
    r'"([^"]+)"|“([^“”]+)”|„([^„“”]+)[“”]|”([^”]+)”|«([^«»]+)»|»([^«»]+)«|‹([^‹›]+)›|›([^‹›]+)‹'
    r"|「([^「」]+)」|『([^『』]+)』|《([^《》]+)》|〝([^〝〞〟]+)[〞〟]|``([^`']+)''"
    r"|‚((?:[^‚']|(?<=\w)'(?=\w))+)'|(?<!\w)'((?:[^']|(?<=\w)'(?=\w)){2,})'(?!\w)"
)
"""In a normalised text, where single quotation marks are apostrophes. None holds its own opening mark, so that each
place is looked at once."""
_SECTION: Final = re.compile(
    r"((?<!§)§++\s*+[\w.()-]*\w)(?:\s+(?:u?abs|absatz|s|satz|halbsatz|hs|nr|nummer|lit|buchst|ziff|ziffer|alt|rn|para)\b\.?\s*\w+)*",
    re.IGNORECASE,
)
"""A section, and what of it: ``§ 3.2 Abs. 1 Satz 2``."""
_AROUND: Final = "\"'“”„«»‘’`´,;:!?()[]{}<>…。，、；：！？（）「」『』."
_OF_WORDS: Final = "#@&%*/\\_-§"
"""Punctuation that may be part of a thing at its edge."""
_WORD: Final = re.compile(r"[^\W_]+")
_MARK: Final = re.compile(r"""["'`“„”«»‹›「『《〝‚—―…]|--|\.\.""")
"""With what each quotation begins, and each dash: most queries have none."""
_SOFT: Final = re.compile(r"[^\W\d_]+(?:['’/-][^\W\d_]+)*|(?:[^\W\d_]\.)+[^\W\d_]?")
"""Plain words joined by a hyphen, an apostrophe or a slash, and abbreviations: in a sentence they are words, whose
order counts anyway."""

_COMPOUND: Final = re.compile(r"[^\W\d_]+(?:(?:[/-]|'(?=[A-ZÀ-Þ]|n')|(?<='n)')[^\W\d_]+)+|(?:[^\W\d_]\.){2,}[^\W\d_]")
"""Also ``O'Neill``, ``rock'n'roll`` and ``Q.E.D.``. Before a small letter, an apostrophe mostly joins an ending."""
_SHORTENED: Final = re.compile(r"^(?:[cdjlmnst]|qu|[dns]?[aeu]ll|un)'|'s$", re.IGNORECASE)
"""Articles and prepositions before a name, in French and Italian, and the English genitive."""
_DASH: Final = re.compile(r"[—―…]|(?<=\w)(?:--+|\.\.+)(?=\w)")
"""Punctuation between words that have no space around it."""
_QUANTITY: Final = re.compile(r"[~<>±$€£+-]*\d+(?:[.,:/–-]\d+)?(?:[%‰°€$£]+[CFK]?)?")
_WEAK: Final = re.compile(r"[-/][^\W\d_]{3,}|[^\W\d_]{3,}[-/]|[~<>±+-]*(?:[$€£]\d[\d.,]*|\d[\d.,]*[%‰°€$£]+[CFK]?)")
"""A word with a stray hyphen or slash, and amounts: one thing only where few passages hold them; as are codes."""
_CODE: Final = re.compile(r"\d+[^\W\d_][^\W_]*|[^\W\d_]+\d[^\W_]*")
"""Letters and digits in one, as in ``0x7FFE``. Of ``k8s`` the index takes off the end, as of a plural."""
_HUMPS: Final = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z\d])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=\d)(?=[A-Z])")
_MOST_JOINED: Final = 6
"""Words of a name that may be written in one."""


class ParsedQuery(NamedTuple):
    """``words``: the query as it is indexed. The others are normalised.

    ``exact``: what is quoted, or written without a space in a short question: what holds it comes first. ``rare``: the
    same for amounts, and in a longer one for all that is so written, where few passages hold it. ``compounds``: plain
    words joined by hyphens or slashes, which count for more where they stand together, and as ``rare`` where the rest
    of the query tells little.
    """

    words: str
    exact: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    compounds: tuple[str, ...] = ()
    is_short: bool = True


def parsed(query: str) -> ParsedQuery:
    """Nothing in a query is an operator but quotation marks, which keep words together; unpaired ones mean nothing."""
    text = normalised(query).replace("\0", " ")
    quoted, rest = list[str](), text
    if _MARK.search(text):
        quoted = [next(filter(None, found.groups())).rstrip(" .,;:") for found in _QUOTED.finditer(text)]
        rest = _DASH.sub(" ", _QUOTED.sub(" ", text))
    sections = list(_SECTION.finditer(rest)) if "§" in rest else []
    words = [word for each in (_SECTION.sub(" ", rest) if sections else rest).split() if (word := _bare(each))]
    is_alone = len(words) == 1 and not quoted and not sections
    joined = [part for found in sections for part in (found[0], found[1])]
    joined += [word for word in words if _is_one_thing(word, is_alone=is_alone)]
    if quoted:  # what stands around it in a script without spaces is the rest of a sentence
        joined = [part for part in joined if not has_unspaced(part)]
    is_short = len(words) + sum(found[0].count(" ") - found[1].count(" ") for found in sections) <= _FEW_WORDS
    # A plain word in quotes in a longer question is mostly one that its author does not want to be taken for his own.
    weak = [] if is_alone else [part for part in joined if _WEAK.fullmatch(part) or _CODE.fullmatch(part)]
    strong = [part for part in joined if part not in weak]
    exact = _things([*quoted, *strong] if is_short else (part for part in quoted if not part.isalpha()))
    told = (part for part in joined if not _QUANTITY.fullmatch(part) and not _CODE.fullmatch(part))
    rare = _things(weak if is_short else told)
    compounds = _things(
        part for word in words if not word.isalpha() and _COMPOUND.fullmatch(part := _SHORTENED.sub("", word))
    )
    return ParsedQuery(
        indexed_words(text),
        tuple(exact)[:MOST_EXACT],
        tuple(rare)[:MOST_EXACT],
        tuple(word for word in compounds if word not in exact)[:MOST_EXACT],
        is_short,
    )


def _things(found: Iterable[str]) -> list[str]:
    each = dict.fromkeys(" ".join(part.split()) for part in found)
    return [part for part in each if _WORD.search(part)]


def phrase(part: str) -> str:
    """An exact thing as an FTS5 phrase."""
    return _phrase_of(_words(part))


def loose_phrase(part: str) -> str | None:
    """The same where a quotation from a script without spaces begins or ends inside a number or a Latin word, as
    ``4年2月2`` of ``2024年2月29日``: without its first word, and with any ending of its last; None where not."""
    words = _words(part)
    if len(words) < 2 or not has_unspaced(part):
        return None
    begins, ends = (not is_unspaced(edge) for edge in (words[0][0], words[-1][0]))
    rest = words[1:] if begins else words
    return f'"{" ".join(rest)}" *' if ends else _phrase_of(rest) if begins else None


def _words(part: str) -> list[str]:
    return indexed_words(part.replace('"', " ").replace("\0", " ")).split()  # SQL would end at a NUL


def _phrase_of(words: list[str]) -> str:
    if not words or not is_unspaced(words[-1][0]):
        return f'"{" ".join(words)}"'
    # The last character of a run stands alone only where the run ends: in the text it may go on.
    if len(words) > 1 and words[-2][-1:] == words[-1] and is_unspaced(words[-2][0]):
        return f'"{" ".join(words[:-1])}"'
    return f'"{" ".join(words)}" *'


def is_name_of(query: str, title: str, uri: str) -> bool:
    """Whether a query is the title of a document, its path or the end of that, or the name of its file without ending:
    nothing but that. Signs and spaces make no difference: ``User guide`` is ``UserGuide.md``."""
    asked = _comparable(query)
    path = _comparable(uri)
    name = path.rpartition("/")[2]
    names = {_comparable(title), name, name.rpartition(".")[0]}
    if asked in names or f"/{path}".endswith(f"/{asked}"):
        return True
    letters = "".join(_WORD.findall(asked))
    return bool(letters) and letters in {"".join(_WORD.findall(each)) for each in names}


def other_spellings(name: str) -> list[str]:
    """A name of some words as one word, and one that is written in one by the words that its capitals begin."""
    words = _WORD.findall(normalised(name))
    if not 0 < len(words) <= _MOST_JOINED or has_unspaced(name):
        return []
    parts = [part for word in words for part in _HUMPS.split(word)]
    return ["".join(words)] * (len(words) > 1) + [" ".join(parts)] * (len(parts) > len(words))


def _comparable(text: str) -> str:
    return " ".join(normalised(text).casefold().split())


def how_exactly(part: str, text: str) -> float:
    """1 when a text holds a thing as it is written, on its own; less inside a longer one, or only its words."""
    text = _comparable(text)
    at, part = -1, part.casefold()
    best = 0.5
    while (at := text.find(part, at + 1)) >= 0:
        before, after = text[max(0, at - 2) : at][::-1], text[at + len(part) : at + len(part) + 2]
        is_negative = before[:1] == "-" and part[0].isdigit()
        if not is_negative and not _joins(before, part[0]) and not _joins(after, part[-1]):
            return 1.0
        best = 0.75
    return best


def _joins(beyond: str, edge: str) -> bool:
    """Whether what stands beyond the edge of a thing belongs to it: ``.4`` behind ``1.2.3`` does, a full stop not."""
    if not beyond or is_unspaced(edge) or is_unspaced(beyond[0]):
        return False
    if beyond[0].isalnum() or beyond[0] in "_+#":
        return True
    return beyond[0] in ".-/:@\\" and beyond[1:].isalnum()


def _bare(word: str) -> str:
    """Without the punctuation around it, of whatever script; a dot before a word belongs to it (.gitignore)."""
    if word.isalnum():
        return word
    start, end = 0, len(word)
    while end and _is_around(word[end - 1]):
        end -= 1
    while start < end and word[start] != "." and _is_around(word[start]):
        start += 1
    word = word[start:end]
    return word if word[:1] == "." and word[1:2].isalnum() else word.lstrip(".")


def _is_around(character: str) -> bool:
    return character in _AROUND or (character not in _OF_WORDS and unicodedata.category(character)[0] == "P")


def _is_one_thing(word: str, *, is_alone: bool) -> bool:
    if word.isascii():
        if word.isalpha():
            return False
    else:
        if has_unspaced(word):
            return len(word) > 1
        word = "".join(each for each in word if unicodedata.category(each)[0] != "M")  # vowel signs of Indian scripts
        if not word:
            return False
    if _CODE.fullmatch(word):
        return True
    is_compound = len(_WORD.findall(word)) > 1 or not word[-1].isalnum() or not word[0].isalnum()
    if is_alone or not is_compound:
        return is_compound
    return not _SOFT.fullmatch(word)
