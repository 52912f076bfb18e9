"""Numbers as lists, clauses and headings show them: 4, iv, D, (d), IV."""

from collections.abc import Callable, Mapping

_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_LARGEST_ROMAN = 4000
_LONGEST_REPEAT = 30
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_RUSSIAN = "абвгдежзиклмнопрстуфхцчшщыэюя"
_GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
_CHINESE = "〇一二三四五六七八九"
_HEBREW = (
    (400, "ת"), (300, "ש"), (200, "ר"), (100, "ק"), (90, "צ"), (80, "פ"), (70, "ע"), (60, "ס"), (50, "נ"), (40, "מ"),
    (30, "ל"), (20, "כ"), (16, "טז"), (15, "טו"), (10, "י"), (9, "ט"), (8, "ח"), (7, "ז"), (6, "ו"), (5, "ה"), (4, "ד"),
    (3, "ג"), (2, "ב"), (1, "א"),
)  # fmt: skip
_TEN_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNIT_NAMES = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
"""
_TENS, _UNITS = _TEN_NAMES.split(), _UNIT_NAMES.split()
_ORDINAL_WORDS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"} | {
    "nine": "ninth", "twelve": "twelfth"
}  # fmt: skip
_TEN_THOUSANDS = 10_000


def decimal(number: int) -> str:
    """Return 0, 1, 2, …"""
    return str(number)


def roman(number: int) -> str:
    """Return I, II, III, …; numbers that have no Roman form in digits."""
    if not 0 < number < _LARGEST_ROMAN:
        return str(number)
    letters = ""
    for value, sign in _ROMAN:
        times, number = divmod(number, value)
        letters += sign * times
    return letters


def letters(number: int, alphabet: str = _LATIN) -> str:
    """Return a, b, …, z, aa, ab, …, as browsers and OpenDocument count."""
    if number < 1:
        return str(number)
    shown = ""
    while number:
        number, place = divmod(number - 1, len(alphabet))
        shown = alphabet[place] + shown
    return shown


def repeated_letters(number: int, alphabet: str = _LATIN) -> str:
    """Return a, b, …, z, aa, bb, …, as Word counts."""
    times, place = divmod(number - 1, len(alphabet))
    if number < 1 or times >= _LONGEST_REPEAT:
        return str(number)
    return alphabet[place] * (times + 1)


def _ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, …"""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _words(number: int) -> str:
    """Return one, two, …, ninety-nine; numbers beyond, whose words differ between writers."""
    if not 0 <= number < 100:
        return str(number)
    if number < len(_UNITS):
        return _UNITS[number]
    tens, unit = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_UNITS[unit]}" if unit else "")


def _ordinal_words(number: int) -> str:
    """Return first, second, …, ninety-ninth; 100th, …"""
    if not 0 <= number < 100:
        return _ordinal(number)
    before, dash, last = _words(number).rpartition("-")
    return before + dash + (_ORDINAL_WORDS.get(last) or (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"))


def _hebrew(number: int) -> str:
    """Return א, ב, …, up to 999."""
    if not 0 < number < 1000:
        return str(number)
    shown = ""
    for value, sign in _HEBREW:
        times, number = divmod(number, value)
        shown += sign * times
    return shown


def _digits(zero: str) -> Callable[[int], str]:
    """Return numbers in the ten digits that follow each other from ``zero`` on."""
    table = {ord("0") + value: chr(ord(zero) + value) for value in range(10)}
    return lambda number: str(number).translate(table)


def _additive(letters: str) -> Callable[[int], str]:
    """Return numbers in letters for 1 to 9, 10 to 90, and so on, written from the highest down."""

    def show(number: int) -> str:
        if not 0 < number < 10 ** (len(letters) // 9):
            return str(number)
        places = enumerate(reversed(str(number)))
        return "".join(letters[9 * place + int(digit) - 1] for place, digit in places if digit != "0")[::-1]

    return show


def chinese(number: int) -> str:
    """Return 一, 二, …, 十, 十一, …, up to 9999."""
    if not 0 < number < _TEN_THOUSANDS:
        return "".join(_CHINESE[int(digit)] for digit in str(number)) if number >= 0 else str(number)
    shown, has_gap = "", False
    for value, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, value)
        if digit:
            shown += ("〇" if has_gap and shown else "") + (
                "" if value == 10 and digit == 1 and not shown else _CHINESE[digit]
            )
            shown += unit
        has_gap = not digit
    return shown


def _padded(width: int) -> Callable[[int], str]:
    return lambda number: f"{number:0{width}d}"


def _listed(signs: str, form: str = "{}") -> Callable[[int], str]:
    """One sign a number, and numbers after the last."""
    return lambda number: form.format(signs[number - 1]) if 0 < number <= len(signs) else str(number)


def _from(first: int, last: int) -> str:
    return "".join(map(chr, range(first, last)))


WORD: Mapping[str, Callable[[int], str]] = {
    "decimal": decimal,
    "decimalZero": _padded(2),
    "decimalHalfWidth": decimal,
    "decimalFullWidth": lambda number: "".join(chr(ord(digit) + 0xFEE0) for digit in str(number)),
    "decimalEnclosedCircle": _listed(_from(0x2460, 0x2474)),
    "decimalEnclosedParen": _listed(_from(0x2474, 0x2488)),
    "decimalEnclosedFullstop": _listed(_from(0x2488, 0x249C)),
    "numberInDash": lambda number: f"- {number} -",
    "ordinal": _ordinal,
    "upperRoman": roman,
    "lowerRoman": lambda number: roman(number).lower(),
    "upperLetter": lambda number: repeated_letters(number).upper(),
    "lowerLetter": repeated_letters,
    "russianLower": lambda number: repeated_letters(number, _RUSSIAN),
    "russianUpper": lambda number: repeated_letters(number, _RUSSIAN).upper(),
    "chineseCounting": chinese,
    "chineseCountingThousand": chinese,
    "japaneseCounting": chinese,
    "taiwaneseCounting": chinese,
    "taiwaneseCountingThousand": chinese,
    "ideographDigital": lambda number: "".join(_CHINESE[int(digit)] for digit in str(abs(number))),
    "ideographTraditional": _listed("甲乙丙丁戊己庚辛壬癸"),
    "ideographZodiac": _listed("子丑寅卯辰巳午未申酉戌亥"),
    "ideographEnclosedCircle": _listed(_from(0x3280, 0x328A)),
    "aiueoFullWidth": _listed(
        "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
    ),
    "irohaFullWidth": _listed(
        "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセス"
    ),
    "ganada": _listed("가나다라마바사아자차카타파하"),
    "chosung": _listed("ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"),
    "hex": lambda number: f"{number:X}",
    "chicago": lambda number: "*†‡§"[(number - 1) % 4] * ((number - 1) // 4 + 1) if 0 < number < 100 else str(number),
    "cardinalText": lambda number: _words(number).capitalize(),
    "ordinalText": lambda number: _ordinal_words(number).capitalize(),
    "hebrew1": _hebrew,
    "hebrew2": lambda number: repeated_letters(number, "אבגדהוזחטיכלמנסעפצקרשת"),
    "arabicAlpha": lambda number: repeated_letters(number, "أبتثجحخدذرزسشصضطظعغفقكلمنهوي"),
    "arabicAbjad": lambda number: repeated_letters(number, "أبجدهوزحطيكلمنسعفصقرشتثخذضظغ"),
    "hindiNumbers": _digits("०"),
    "thaiNumbers": _digits("๐"),
    "thaiLetters": lambda number: repeated_letters(number, "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ"),
    "none": lambda number: "",
}
"""The formats of Word (``w:numFmt``). One that is not here is not shown: no number is better than another one."""

HTML: Mapping[str, Callable[[int], str]] = {
    "1": decimal,
    "a": letters,
    "A": lambda number: letters(number).upper(),
    "i": lambda number: roman(number).lower(),
    "I": roman,
    "decimal": decimal,
    "decimal-leading-zero": _padded(2),
    "lower-alpha": letters,
    "lower-latin": letters,
    "upper-alpha": lambda number: letters(number).upper(),
    "upper-latin": lambda number: letters(number).upper(),
    "lower-roman": lambda number: roman(number).lower(),
    "upper-roman": roman,
    "lower-greek": lambda number: letters(number, _GREEK),
    "cjk-decimal": lambda number: "".join(_CHINESE[int(digit)] for digit in str(abs(number))),
    "simp-chinese-informal": chinese,
    "cjk-ideographic": chinese,
    "japanese-informal": chinese,
    "armenian": _additive(_from(0x531, 0x531 + 36)),
    "upper-armenian": _additive(_from(0x531, 0x531 + 36)),
    "lower-armenian": _additive(_from(0x561, 0x561 + 36)),
    "georgian": _additive("აბგდევზჱთიკლმნჲოპჟრსტჳფქღყშჩცძწჭხჴჯჰ"),
    "hebrew": _hebrew,
    "cjk-heavenly-stem": _listed("甲乙丙丁戊己庚辛壬癸"),
    "cjk-earthly-branch": _listed("子丑寅卯辰巳午未申酉戌亥"),
    "hiragana": lambda number: letters(
        number, "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわゐゑをん"
    ),
    "katakana": lambda number: letters(
        number, "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヰヱヲン"
    ),
    **{
        name: _digits(zero)
        for name, zero in {
            "arabic-indic": "٠",
            "persian": "۰",
            "urdu": "۰",
            "bengali": "০",
            "devanagari": "०",
            "gujarati": "૦",
            "gurmukhi": "੦",
            "kannada": "೦",
            "khmer": "០",
            "cambodian": "០",
            "lao": "໐",
            "malayalam": "൦",
            "mongolian": "᠐",
            "myanmar": "၀",
            "oriya": "୦",
            "tamil": "௦",
            "telugu": "౦",
            "thai": "๐",
            "tibetan": "༠",
        }.items()
    },
}
"""The types of HTML, which are those of OpenDocument too, and the styles of lists in CSS."""
