"""The words of texts and queries: what is the same to a reader is the same word, in the index as in a query."""

import sqlite3
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseflow.components import word_places
from phaseflow.components.word_places import Tokenizer
from phaseflow.domain.search_query import (
    LONGEST_QUERY,
    MOST_EXACT,
    how_exactly,
    is_name_of,
    loose_phrase,
    other_spellings,
    parsed,
    phrase,
)
from phaseflow.domain.words import indexed_words, normalised
from phaseflow.store.postings import TOKENIZE
from tests.matrices import examples, together
from tests.stopwatch import Stopwatch

TOKENIZER = Tokenizer()
CHINESE = "财务部门必须公布库存数据，并在每月五日前提交给仓库主管。"
THAI = "ระบบจะหยุดงานชั่วคราวเมื่อผู้ใช้กดปุ่ม"
LAO = "ລະບົບຈະຢຸດວຽກຊົ່ວຄາວ"
KHMER = "ប្រព័ន្ធនឹងផ្អាកការងារជាបណ្តោះអាសន្ន"
BURMESE = "စနစ်သည်အလုပ်ကိုခေတ္တရပ်နားမည်"
JAPANESE = "ジョブを一時停止すると、現在のバッチが終わるまで続きます。"


def finds(text: str, part: str) -> bool:
    """Whether the phrase of a query finds a text in FTS5, as the index has it."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE VIRTUAL TABLE t USING fts5 (text, {TOKENIZE})")
    connection.execute("INSERT INTO t VALUES (?)", (indexed_words(text),))
    found = connection.execute("SELECT count(*) FROM t WHERE t MATCH ?", (phrase(part),)).fetchone()[0]
    connection.close()
    return bool(found)


@together("text", [CHINESE, JAPANESE, THAI, LAO, KHMER, BURMESE])
def test_every_quotation_of_a_text_without_spaces_finds_it(text: str) -> None:
    parts = [text[n : n + length] for length in (1, 2, 3, 4, 6) for n in range(len(text) - length + 1)]
    assert [part for part in parts if any(map(str.isalpha, part)) and not finds(text, part)] == []


@together(
    "part", ["重跑gen-itgc后", "跑gen", "gen-itgc后", "后检查", "1.2.3-rc1", "10.2.17.44", "x@y", "C++", "C#", "a_b"]
)
def test_what_is_written_in_one_finds_the_text_that_has_it(part: str) -> None:
    text = "请重跑gen-itgc后检查。 Use 1.2.3-rc1 from 10.2.17.44, mail x@y about C++ or C# in a_b."
    assert finds(text, part)
    assert how_exactly(part, text) > 0.5


@together(
    ("part", "text"),
    [
        ("4年2月2", "于2024年2月29日"),
        ("002在日本", "自2002在日本起"),
        ("SOFT发行", "CAPESOFT发行了"),
        ("约40", "大约4000人"),
    ],
)
def test_a_quotation_may_begin_or_end_inside_a_number_or_a_latin_word(part: str, text: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE VIRTUAL TABLE t USING fts5 (text, {TOKENIZE})")
    connection.execute("INSERT INTO t VALUES (?)", (indexed_words(text),))
    found = connection.execute("SELECT count(*) FROM t WHERE t MATCH ?", (loose_phrase(part),)).fetchone()
    connection.close()
    assert found == (1,)
    assert how_exactly(part, text) == 0.75


def test_a_phrase_in_a_script_without_spaces_ends_with_its_last_pair() -> None:
    assert phrase("合同副本") == '"合同 同副 副本"'
    assert phrase("合同 b") == '"合同 同 b"'
    assert phrase("合") == '"合" *'


@together("part", ["plain words", "1.2.3", "合同副本", "x"])
def test_only_a_quotation_cut_so_is_looked_for_loosely(part: str) -> None:
    assert loose_phrase(part) is None


@together(
    ("part", "text"), [("1.2.3", "version 1.3.2 of 2.3"), ("C++", "written in C, plus plus"), ("公布数据", CHINESE)]
)
def test_another_order_is_another_thing(part: str, text: str) -> None:
    assert not finds(text, part)


@together(
    ("part", "text", "how"),
    [
        ("1.2.3", "since 1.2.3.", 1.0),
        ("1.2.3", "since 1.2.3.4", 0.75),
        ("1.2.3", "since 1-2-3", 0.5),
        ("C++", "in C++, mostly", 1.0),
        ("x@y", "max@y", 0.75),
        ("x@y", "max@y x@y", 1.0),
        ("x@y", "x@y_ +x@y x@y#", 0.75),
        ("1.2", "see 1.2-b", 0.75),
        ("1.2", "see 1.2- b", 1.0),
        ("1.2", "2.1.2", 0.75),
        ("1.2", "from 2. 1.2", 1.0),
        ("a/b", "c\\a/b", 0.75),
        ("合-1", "文合-1", 1.0),
        ("版本2", "版本23", 0.75),
        ("2版", "12版", 0.75),
        ("a-1", "文a-1文", 1.0),
        ("Pause All", "to pause\nall jobs", 1.0),
        ("合同副本", "公布合同副本。", 1.0),
        ("34°C", "at -34°C", 0.75),
        ("34°C", "from - 34°C", 1.0),
        ("1.2.3", "version 1.2.3 is out", 1),
        ("1.2.3", "version 1.2.3.", 1),
        ("1.2.3", "version 1.2.3.4", 0.75),
        ("1.2.3", "version 11.2.3", 0.75),
        ("1.2.3", "version 11.2.3 and 1.2.3", 1),
        ("1.2.3", "1 2 3", 0.5),
        ("5", "-5", 0.75),
        ("x", "-x", 1),
        ("C", "C++ or C#", 0.75),
        ("Err_A", "ERR_A", 1),
        ("東京", "在東京都", 1),
    ],
)
def test_a_thing_on_its_own_comes_before_one_inside_a_longer_one(part: str, text: str, how: float) -> None:
    assert how_exactly(part, text) == how


@together(
    ("text", "words"),
    [
        ("e\ufb03cient", "efficient"),
        ("inter\u00adnational", "international"),
        ("zero\u200bwidth", "zerowidth"),
        ("\uff21\uff22\uff23", "ABC"),
        ("№ ⑫", "No 12"),
        ("حَمْزَةُ بـــن", "حمزة بن"),
        ("\ufef7\u064e", "لأ"),
        ("שָׁלוֹם", "שלום"),
        ("defence\u2011in\u2010depth \u22125", "defence-in-depth -5"),
        ("it\u2019s", "it's"),
        ("Straße GROẞ", "Strasse GROss"),
        ("Diyarbakır, İzmir", "Diyarbakir, Izmir"),
        ("σοφός ΐ Ἀθῆναι", "σοφοσ ι Αθηναι"),
        ("Ёлка зелёная", "Елка зеленая"),
        ("rock ´n´ roll, 5 ˜ 10, Cafe´ ¨", "rock  n  roll, 5   10, Cafe   "),
        ("a \u0301 b\u0301\u0327 _\u0308 \u0301c", "a  b\u0327\u0301 _ c"),
        ("Łódź, Smørrebrød, Ærø, œuvre", "Lódź, Smorrebrod, Aero, oeuvre"),
    ],
)
def test_letters_in_other_forms_are_the_same_words(text: str, words: str) -> None:
    assert indexed_words(text) == words


def test_a_word_broken_at_the_end_of_a_line_is_found_whole_and_in_parts() -> None:
    assert all(finds("an inter-\nnational office", part) for part in ("international", "inter", "inter-national"))


@together(
    ("query", "exact"),
    [
        ('what does "held back" mean', ("held back",)),
        ("how do I upgrade to 1.2.3-rc1?", ("1.2.3-rc1",)),
        ("see § 3.2 of it", ("§ 3.2",)),
        ("state-of-the-art and/or high-speed wings, don't they", ()),
        ("state-of-the-art", ("state-of-the-art",)),
        ("e.g. this", ()),
        ("what is C++ or C#?", ("C++", "C#")),
        ("如何暂停任务", ("如何暂停任务",)),
        ('an unpaired " means nothing', ()),
        ("(10.2.17.44),", ("10.2.17.44",)),
        ("what does .gitignore do", (".gitignore",)),
        ("and so on .. and ...so on", ()),
        ("is it '.' or .,", ()),
        ("C# beside .NET, «a-1».", ("a-1", "C#", ".NET")),
        (" ".join(f'"a-{n}"' for n in range(9)), tuple(f"a-{n}" for n in range(MOST_EXACT))),
        ('in a longer question what follows is exact, "b-2", and a-1 not', ("b-2",)),
        ("a-1 or A-1 or a-1", ("a-1", "A-1")),
        ('" ! " and § !', ()),
        ("¿Cuántos puntos?", ()),
        ("من هو الملك؟", ()),
        ("– a list • of “points” — and ¡more!", ("points",)),
        ("क्या यह है।", ()),
        ("a \u0301\u0302 mark", ()),
        ("jets -dash papers and flow/ of 97% or $12.50", ()),
        ("97%", ("97%",)),
        ("猫 合同", ("合同",)),
        ('the so "called" words that a longer question has in quotes are not', ()),
        ("a paper...in Science—how and--why", ()),
        ("»a b«, ‹c d› and ”e f” or ›g h‹", ("a b", "c d", "e f", "g h")),
        ("‘l’ordre du jour’, ‚don’t‘ or ``a b''", ("l'ordre du jour", "don't", "a b")),
        ("the hosts' file and the users' of the '80s don't", ()),
        ('"the end of it." or "so,"', ("the end of it", "so")),
        ("谁演唱了《金刀情侠》的主题曲", ("金刀情侠",)),
        ("see § 3.2 Abs. 1 Satz 2 of it", ("§ 3.2 Abs. 1 Satz 2", "§ 3.2")),
        ("is k8s or i18n in a B2B", ()),
        ("k8s", ("k8s",)),
        ("0x7FFE12", ("0x7FFE12",)),
        ("word", ()),
        ("1234", ()),
    ],
)
def test_what_is_quoted_or_written_without_a_space_is_one_thing(query: str, exact: tuple[str, ...]) -> None:
    assert parsed(query).exact == exact


@together(
    ("query", "rare", "compounds"),
    [
        ("what does the page say about near-zero-downtime?", (), ("near-zero-downtime",)),
        ("and/or the driver's seat, don't", (), ("and/or",)),
        ("near-zero-downtime", (), ()),
        ("in a longer question the words of near-zero-downtime stand together", (), ("near-zero-downtime",)),
        ("B-17-32 is exact", (), ()),
        ("which of the two is newer in that long list, 1.2.3-rc1 or § 3.2", ("§ 3.2", "1.2.3-rc1"), ()),
        ("a warming of approximately 3°C or 24% in the years of 2016-17 was found", (), ()),
        ("a defence\u2011in\u2011depth strategy", (), ("defence-in-depth",)),
        ("jets -dash papers flow/ of 97% or $12.50", ("-dash", "flow/", "97%", "$12.50"), ()),
        ("is k8s or 0x7FFE in a B2B", ("k8s", "0x7FFE", "B2B"), ()),
        ("what is the length in mm of that k8s thing and § 3 Abs. 1", ("§ 3 Abs. 1", "§ 3"), ()),
        ("where is § 100h Abs. 1 Satz 1 in the law", ("§ 100h Abs. 1 Satz 1", "§ 100h"), ()),
        ("O’Neill's rock’n’roll, Q.E.D. or e.g. l’État-major", (), ("O'Neill", "rock'n'roll", "Q.E.D", "État-major")),
        ("Tesla'nın patentleri, qu'il l'ordre", (), ()),
    ],
)
def test_words_joined_in_a_sentence_may_be_one_thing(
    query: str, rare: tuple[str, ...], compounds: tuple[str, ...]
) -> None:
    assert (parsed(query).rare, parsed(query).compounds) == (rare, compounds)


@together(
    ("query", "is_name"),
    [
        ("pausing jobs", True),
        ("Pausing  Jobs", True),
        ("pause.md", True),
        ("PAUSE", True),
        ("guide/pause.md", True),
        ("the/guide/pause.md", True),
        ("pausing", False),
        ("use.md", False),
        ("how is pause.md read", False),
        ("guide", False),
    ],
)
def test_a_query_may_be_the_name_of_a_document(query: str, is_name: bool) -> None:
    assert is_name_of(query, "Pausing jobs", "the/guide/Pause.md") == is_name


@together(
    ("query", "uri", "spelt"),
    [
        ("user guide 2", "the/UserGuide2.md", "userguide2"),
        ("UserGuide", "user_guide.md", "User Guide"),
        ("PDFReader", "pdf-reader.txt", "PDF Reader"),
        ("donau dampfschiff", "Donaudampfschiff.txt", "donaudampfschiff"),
    ],
)
def test_a_name_may_be_written_in_one_word_or_in_several(query: str, uri: str, spelt: str) -> None:
    assert is_name_of(query, "Another title", uri)
    assert spelt in other_spellings(query)
    assert other_spellings("one two three four five six seven") == other_spellings("如何 暂停") == []


def test_a_query_of_nothing_but_marks_is_read_at_once() -> None:
    watch = Stopwatch(time.thread_time)
    for mark in ("§", "«", "»", "`", "“„", "'a", "‚a'", "§ 1 s 1 ", "a'n'", "a."):
        parsed((mark * LONGEST_QUERY)[:LONGEST_QUERY])
    assert watch.within(0.25)  # it was 0.6 s for the first alone


MARKS = st.text(
    "a1 \u00b4\u00a8\u02dc\u00af\u00b8\u02d8\u0384\u0300\u0301\u0308\u0327\u20dd\u1c90'\"-§._\0", max_size=20
)


@settings(deadline=None, max_examples=examples(300))
@given(MARKS | st.text(max_size=60))
def test_what_a_query_becomes_are_words_of_the_index(query: str) -> None:
    words = TOKENIZER.words(parsed(query).words)
    assert all(words)
    indexed = TOKENIZER.words(indexed_words(query.replace("\0", " ")))
    assert words == indexed
    TOKENIZER.kept(words)


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_character_of_a_query_is_an_operator(query: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE VIRTUAL TABLE t USING fts5 (text, {TOKENIZE})")
    for part in (*parsed(query).exact, query, f"{query}\0x", '"\0"'):
        connection.execute("SELECT count(*) FROM t WHERE t MATCH ?", (phrase(part),)).fetchall()
    connection.close()


def as_a_whole(text: str) -> list[str]:
    """The words of a text as FTS5 cuts it, all at once."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE VIRTUAL TABLE t USING fts5 (text, {TOKENIZE})")
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab (t, instance)")
    connection.execute("INSERT INTO t VALUES (?)", (text,))
    return [row[0] for row in connection.execute("SELECT term FROM v ORDER BY offset") if row[0]]


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("aé0 -_.#\n\t\u00a0\u3000\u0301\u200b'ßK\0")))
def test_a_query_is_cut_between_its_blanks_as_it_would_be_as_a_whole(text: str) -> None:
    assert TOKENIZER.words(text) == as_a_whole(text)
    assert TOKENIZER.words(text) == as_a_whole(text)  # what is remembered, too


def test_the_tokenizer_remembers_a_bounded_number_of_short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_places, "_MOST_KNOWN", 10)
    cutting, long = Tokenizer(), "long" * 100
    for first in range(0, 60, 6):
        asked = [f"word{number}" for number in range(first, first + 6)]
        assert cutting.words(" ".join([*asked, long, *asked])) == [*asked, long, *asked]
    assert 0 < len(cutting._known) <= 10
    assert long not in cutting._known


IN_QUOTES = (
    '"a b"',
    "“a b”",
    "„a b“",
    "”a b”",
    "«a b»",
    "»a b«",
    "‹a b›",
    "›a b‹",
    "「a b」",
    "『a b』",
    "《a b》",
    "〝a b〞",
)


@together("quoted", [*IN_QUOTES, "``a b''", "‚a b'", "'a b'"])
def test_every_kind_of_quotation_is_seen(quoted: str) -> None:
    assert parsed(f"x {quoted} y").exact == ("a b",)


@together("dash", ["—", "―", "…", "--", "..", "---"])
def test_every_kind_of_dash_parts_words(dash: str) -> None:
    assert parsed(f"one{dash}two and v1").rare == ("v1",)
    assert parsed(f"one{dash}two and v1").exact == ()
