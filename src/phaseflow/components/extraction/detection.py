"""Which 8-bit or multi-byte encoding a text has that declares none.

chardet ranks the encodings by how often their letters follow each other in some language. It has no idea of what is
usual: for an English text with one "£" it may answer Greek. So its ranking is corrected for two things: a text in
the wrong encoding has signs inside words and alphabets mixed, and what says little is rather western. Of 450 short
texts in 26 encodings (six words of the Declaration of Human Rights, English with a sign or two) this reads 91 in 100
correctly, chardet alone 86, chardetng 59, charset-normalizer with rules of our own 45.
"""

import codecs
import re

SAMPLE = 32_768
"""Bytes that are looked at: enough to tell encodings apart, and a few milliseconds whatever the file's size."""
# chardet knows many more, which nobody's files are in, but which short texts look like.
_CANDIDATES = (
    "cp1252", "iso8859-15", "cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949", "euc_kr", "cp1250", "iso8859-2",
    "cp1251", "koi8-r", "koi8-u", "cp866", "iso8859-5", "mac-cyrillic", "cp855", "cp1253", "iso8859-7", "cp737",
    "mac-greek", "cp1254", "iso8859-9", "cp857", "mac-turkish", "cp1255", "iso8859-8", "cp862", "cp1256", "iso8859-6",
    "cp1257", "iso8859-13", "cp775", "cp1258", "cp874", "tis-620", "cp852", "mac-latin2", "mac-roman", "mac-iceland",
    "cp850", "cp437", "iso8859-3", "iso8859-1",
)  # fmt: skip
_WESTERN = ("cp1252", "iso8859-15")
_PRIOR = 0.007
"""Confidence that is added for western text: decides where chardet's own is as small, in texts of a few words."""
_SURE = 0.1
"""Confidence that is added when the western reading has nothing beyond ASCII but signs in their usual places."""
_THAI = ("cp874", "tis-620")
_SPELLED = 2.7
"""What the confidence of Thai is multiplied by where every vowel and tone stands at a consonant, as few words of other
languages have it by chance. Of 473 cuts of three to twelve syllables this reads 446, and 413 without; of 1,200 Chinese
ones of two to eight letters, two fewer."""
_BEFORE = 200
"""Bytes of a long line before its first beyond ASCII that are looked at too."""
_EXCERPT = 4096
"""Bytes whose reading is judged in each encoding: all of the sample would take several times as long as the ranking."""
_NONSENSE = 0.6
"""Implausible places for each run beyond ASCII that no text has in its own encoding."""
_COST = 10
"""What one implausible place for each run beyond ASCII divides the confidence by; 5 to 20 give the same."""

_LATIN = "A-Za-zªºµÀ-ÖØ-öø-ʯ\u0300-\u036fḀ-ỿ"
_SMALL = "a-zß-öø-ÿāăąćċčďđēėęěğģħīįıķļľłńņňŋōőœŕřśşšţťŧũūůűųźżž"
_CAPITAL = "À-ÖØ-ÞĀĂĄĆĊČĎĐĒĖĘĚĞĢĦĪĮİĶĻĽŁŃŅŇŌŐŒŔŘŚŞŠŢŤŪŮŰŲŸŹŻŽ"
_ALPHABET = "\u0370-\u10ff\ufb00-\ufdff\ufe70-\ufefc"
_FOREIGN = "\u0370-\u1dff\u3041-\uabff\uac00-\ud7ff\uf900-\ufdff\ufe70-\ufefc\uff66-\uffdc"
_IMPLAUSIBLE = re.compile(
    rf"""
    [\x7f-\x9f] | (?<=\w)[\u2500-\u259f] | [\u2500-\u259f](?=\w)                  # control characters, boxes in words
  | [{_LATIN}][{_ALPHABET}] | [{_ALPHABET}][{_LATIN}]                            # two alphabets in a word
  | (?<=[{_LATIN}])[^\x00-\x7f{_LATIN}{_FOREIGN}’·\xad\xa0–—…»”«“‘™®©°²³′″ʼ](?=[{_LATIN}])
  | (?<=[A-Za-z])[‚„¡¿ˆ¨´¸˜“](?!\w) | [¡¿][^\w\s«"'“(¡¿] | (?<=\w)[¡¿] | (?<=\d)\s?[¨´¸ˆ˜˝‡†]
  | (?<=[{_SMALL}])[{_CAPITAL}] | (?<=[A-Z])Ÿ(?=[a-z])                           # a capital inside a word
  | ([^\x00-\x7f\u2000-\u25ff])\1{{3}}                                             # lines drawn with letters
  | [À-ÖØ-öø-ʯ{_ALPHABET}](?=\d) | (?<=\d)[À-ÖØ-öø-ʯ]                            # a letter at a digit
    """,
    re.X,
)
_SIGNS = re.compile(
    r"""
    (?<!\w)[£€¥¢§©±×÷½¼¾•µ«“‘¿¡°](?![^\x00-\x7f])(?<![±×÷½¼¾](?=[A-Za-z]))
  | (?<=\w)[²³™®©’€£¢°½¼¾] | (?<=\w)[”»…](?!\w) | (?<=[\s\d>])[–—](?=[\s\d<]) | (?<=\W)[”»…®™²³](?!\w)
    """,
    re.X,
)
_AT_CONSONANT = "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
_THAI_SIGN = re.compile(f"[{_AT_CONSONANT}]")
_MISSPELLED = re.compile(
    rf"""
    (?<![\u0e01-\u0e2e{_AT_CONSONANT}])[{_AT_CONSONANT}\u0e30\u0e32\u0e33] | [{_AT_CONSONANT}]{{3}}
  | [\u0e40-\u0e44](?![\u0e01-\u0e2e]) | [^\x00-\x7f\xa0\u0e01-\u0e3a\u0e3f-\u0e4e\u0e50-\u0e59\u2013-\u2026]
    """,
    re.X,
)
_FEWEST_THAI = 5
_ASCII = bytes(range(128))
_LETTER = re.compile("[À-ÖØ-öø-ÿŒœŠšŽžŸ]")
_BEYOND = re.compile(rb"[\x80-\xff]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_WORD = re.compile(f"[{_ALPHABET}]+")


def detect(data: bytes) -> str | None:
    """Return the codec for a text that is beyond ASCII and not UTF-8; None when it is none."""
    from chardet import detect_all

    sample = _telling(data)
    # Led by a line end: chardet takes a text that begins with "BMW" for a bitmap. Binary files are refused before.
    ranking = detect_all(b"\n" + sample, ignore_threshold=True, compat_names=False, include_encodings=_CANDIDATES)
    found = {each["encoding"]: each["confidence"] for each in ranking if each["encoding"]}
    if not found:
        return None
    confidences = dict.fromkeys(_WESTERN, 0.0) | found
    best, best_score = None, 0.0
    most = {each: _most(each, confidence) for each, confidence in confidences.items()}
    for encoding in sorted(most, key=lambda each: most[each], reverse=True):
        # Most texts are read in one or two encodings, not in each.
        if most[encoding] <= best_score:
            break
        score = _score(sample, encoding, confidences[encoding])
        if score > best_score:
            best, best_score = encoding, score
    return best


def detect_shifted(data: bytes) -> str | None:
    """Return the codec for Chinese, Japanese or Korean text in 7 bits (ISO-2022, HZ); None when it is none.

    Ask only for a text that has one of their signs.
    """
    from chardet import detect

    encoding = detect(_sample(data), compat_names=False)["encoding"]
    return encoding if encoding and encoding.startswith(("iso2022", "hz")) else None


def _most(encoding: str, confidence: float) -> float:
    """The most that the score of an encoding can be."""
    if encoding in _THAI:
        return confidence * _SPELLED
    return confidence + _SURE + _PRIOR if encoding in _WESTERN else confidence


def _score(sample: bytes, encoding: str, confidence: float) -> float:
    try:
        text = _with_running_phase(sample[:_EXCERPT], encoding)
        flaws = _implausible(text)
        if encoding in _THAI and _is_spelled_thai(text):
            confidence *= _SPELLED
        if encoding in _WESTERN:
            confidence += _PRIOR + (_SURE if _has_only_signs(sample, encoding) else 0)
    except UnicodeDecodeError:
        return 0.0
    return 0.0 if flaws > _NONSENSE else confidence / (1 + _COST * flaws)


def _with_running_phase(sample: bytes, encoding: str) -> str:
    """Decode what may end within a character."""
    return codecs.getincrementaldecoder(encoding)().decode(sample)


def _is_spelled_thai(text: str) -> bool:
    letters = len(text) - len(_BEYOND_ASCII.sub("", text))
    return letters >= _FEWEST_THAI and bool(_THAI_SIGN.search(text)) and not _MISSPELLED.search(text)


def _has_only_signs(sample: bytes, encoding: str) -> bool:
    text = sample.decode(encoding)
    # The letters first: to look for signs in a whole text takes longer than all the rest.
    return not _LETTER.search(text) and _SIGNS.sub("", text).isascii()


def _implausible(text: str) -> float:
    """Return how many places for each run beyond ASCII are such as stand in no text that is read correctly."""
    runs = len(_BEYOND_ASCII.findall(text)) or 1
    words = _WORD.findall(text)
    # Cyrillic has words of one letter, but no text of them. Chinese has.
    alone = sum(len(word) == 1 for word in words)
    return (len(_IMPLAUSIBLE.findall(text)) + (alone if 2 * alone > len(words) else 0)) / runs


def _telling(data: bytes) -> bytes:
    """Return the lines that have something beyond ASCII: a few Russian comments are lost in a long source file."""
    found = _BEYOND.search(data)
    first = found.start() if found else 0
    begin = max(data.rfind(b"\n", 0, first) + 1, first - _BEFORE)
    return b"\n".join(line for line in _sample(data[begin : begin + SAMPLE + 1]).split(b"\n") if not line.isascii())


def _sample(data: bytes) -> bytes:
    if len(data) <= SAMPLE:
        return data
    cut = data.rfind(b"\n", 0, SAMPLE)
    return data[: cut if cut > 0 else SAMPLE]
