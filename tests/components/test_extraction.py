"""From a document's bytes to its text: choice of format, Markdown, text, code, data and notebooks."""

import json
import unicodedata
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseflow.components.extraction import Extracted, extract
from phaseflow.components.extraction.formats import FORMATS, UNSUPPORTED
from phaseflow.domain.errors import DocumentError
from tests.matrices import together
from tests.stopwatch import fail_soon

EXTENSIONS = sorted(extension for each in FORMATS for extension in each.extensions)


def read(text: str, name: str) -> Extracted:
    return extract(text.encode(), name)


def refusal(data: bytes, name: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        extract(data, name)
    return caught.value


class TestChoice:
    def test_the_extension_decides_whatever_its_case(self) -> None:
        assert read("# A", "A.MD").media_type == "text/markdown"

    @together("name", ["LICENSE", "notes.unknown", "Makefile"])
    def test_a_file_whose_extension_says_nothing_is_judged_by_its_content(self, name: str) -> None:
        assert read("plain", name).text == "plain"

    def test_html_without_an_extension_is_read_as_html(self) -> None:
        assert read("\n<!DOCTYPE html><title>T</title><p>x", "page").text == "x"

    def test_xhtml_that_says_that_it_is_xml_is_read_as_html(self) -> None:
        assert read('<?xml version="1.0"?><!DOCTYPE html><html><body><p>x</p></body></html>', "page").text == "x"

    def test_cdata_of_xhtml_is_text(self) -> None:
        head = '<?xml version="1.0"?><html><style>/*<![CDATA[*/ b > i {} /*]]>*/</style>'
        page = f"{head}<p>one <![CDATA[<CD> & 2]]> two</p>"
        assert read(page, "page.xhtml").text == "one <CD> & 2 two"

    def test_a_declared_type_goes_before_the_extension(self) -> None:
        page = extract(b"<h1>x</h1>", "index.php", declared_type="text/html; charset=utf-8")
        assert page.text == "# x"

    def test_a_server_that_calls_everything_plain_text_is_not_believed(self) -> None:
        assert extract(b"# x", "a.md", declared_type="text/plain").media_type == "text/markdown"

    @together(
        ("name", "data", "kind"),
        [("a.png", b"x", "A picture"), ("report", b"\x89PNG x", "A picture"), ("a", b"PK\x03\x04 x", "An archive")],
    )
    def test_what_cannot_be_read_is_named_and_does_not_count(self, name: str, data: bytes, kind: str) -> None:
        error = refusal(data, name)
        assert (error.code, error.counts) == ("unsupported_format", False)
        assert str(error).startswith(f"{kind} is not supported")

    @together("name", ["a.bin", "a.txt", "a.md", "a.py"])
    def test_bytes_that_are_no_text_are_refused_whatever_the_name(self, name: str) -> None:
        error = refusal(b"text\0text", name)
        assert (error.code, error.counts) == ("unsupported_format", False)

    @together("extension", [*EXTENSIONS, "pdf", "bin", ""])
    def test_an_empty_file_is_an_empty_text_in_every_format(self, extension: str) -> None:
        assert extract(b"", f"a.{extension}").text == ""

    def test_every_extension_belongs_to_one_format(self) -> None:
        all_of_them = EXTENSIONS + [each for many in UNSUPPORTED.values() for each in many]
        assert len(all_of_them) == len(set(all_of_them))

    @together("extension", EXTENSIONS)
    def test_the_title_falls_back_to_the_name_of_the_file(self, extension: str) -> None:
        assert extract(b"", f"folder/a.{extension}").title == f"a.{extension}"


class TestMarkdown:
    def test_front_matter_is_no_part_of_the_text(self) -> None:
        document = read("---\ntitle: A title\ntags: [a]\n---\n\n# Heading\n\ntext", "a.md")
        assert document == Extracted("# Heading\n\ntext", "A title", "text/markdown", metadata={"tags": ["a"]})

    @together(
        ("line", "title"),
        [
            ("title: plain", "plain"),
            ("Title: plain # comment", "plain"),
            ('title: "quoted: yes" # c', "quoted: yes"),
            ("title: 'it''s'", "it's"),
            ("title: >-\n  folded\n  lines", "folded lines"),
            ("title: C# in depth", "C# in depth"),
        ],
    )
    def test_titles_are_read_as_yaml_writes_them(self, line: str, title: str) -> None:
        assert read(f"---\na: 1\n{line}\nb: 2\n---\nx", "a.md").title == title

    def test_toml_front_matter_is_taken_too(self) -> None:
        document = read('+++\ntitle = "T"\n+++\nx', "a.md")
        assert (document.text, document.title) == ("x", "T")

    @together("text", ["---\n\nA break first.\n\n---\n", "---\ntitle: never closed\n", "--- x\n"])
    def test_what_only_looks_like_front_matter_stays(self, text: str) -> None:
        assert read(text, "a.md").text == text

    @together(
        "text",
        [
            "x\n\n## Title ##\n",
            "Title\n=====\n",
            "```sh\n# no title\n```\n# Title\n",
            "~~~\n# no\n~~~\n # Title",
            "<h1 align=center>\n  <img src=a.png> Title</h1>\n\n## Other\n",
            "<div>\n<h1>Title</h1>\n</div>\n# Other\n",
            "```\n<h1>no</h1>\n```\n# <b>Title</b> <!-- no -->\n",
            "# T&#105;tle\n",
        ],
    )
    def test_the_first_heading_is_the_title(self, text: str) -> None:
        assert read(text, "a.md").title == "Title"

    async def test_a_hostile_heading_does_not_hold_up_the_reader(self) -> None:
        text = ("# " + " " * 5000 + "x\n") * 3 + "```" * 9000
        with fail_soon(2):
            await anyio.to_thread.run_sync(read, text, "a.md", abandon_on_cancel=True)

    @given(st.text(alphabet="-#`~=+:\ntitle 'x\"", max_size=120))
    def test_text_below_the_front_matter_is_a_tail_of_the_file(self, text: str) -> None:
        assert text.endswith(read(text, "a.md").text)


class TestText:
    def test_line_ends_become_line_feeds(self) -> None:
        assert read("a\r\nb\rc\n", "a.txt").text == "a\nb\nc\n"

    def test_source_code_is_decoded_as_it_declares(self) -> None:
        source = "#!/usr/bin/python\n# -*- coding: koi8-r -*-\ns = 'привет'\n"
        assert extract(source.encode("koi8-r"), "a.py").text == source

    @pytest.mark.parametrize("text", ["=====\nTitle\n=====\n\nx", ".. comment\n\nTitle\n-----\n"])
    def test_a_restructured_text_has_the_title_of_its_first_section(self, text: str) -> None:
        assert read(text, "a.rst") == Extracted(text, "Title", "text/x-rst")


class TestData:
    @together("name", ["a.csv", "a.tsv", "a.jsonl", "a.xml", "a.yaml"])
    def test_data_is_kept_as_it_is(self, name: str) -> None:
        text = 'a;b\n1;"2"\n<x y="1"/>\n'
        assert read(text, name).text == text

    @pytest.mark.thorough
    @settings(deadline=None)  # the first document of a kind imports what reads it
    @given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    def test_json_keeps_its_meaning_when_its_escapes_become_letters(self, value: object) -> None:
        assert json.loads(read(json.dumps(value), "a.json").text) == value

    def test_json_escapes_can_be_searched_as_letters(self) -> None:
        assert read('{"a": "\\u540d\\u524d \\ud83d\\ude00 \\\\u540d \\ud83d \\u0022"}', "a.json").text == (
            '{"a": "名前 😀 \\\\u540d \\ud83d \\u0022"}'
        )

    def test_a_feed_becomes_text_with_its_articles(self) -> None:
        feed = (
            '<?xml version="1.0"?><rss><channel><title>News &amp; more</title><!-- no --><item>'
            "<description>&lt;p&gt;One&lt;/p&gt;</description>"
            "<x><![CDATA[<b>Two</b> &amp; three]]></x></item></channel></rss>"
        )
        assert read(feed, "a.xml") == Extracted(
            "News & more\nOne\nTwo & three", "News & more", "text/plain", read_as="application/xml"
        )

    @together(
        "article",
        [
            "<![CDATA[<p>x</p><script type='a'>if (a < b) no()</script><STYLE>no{}</STYLE >y]]>",
            "&lt;script&gt;no()&lt;/script&gt;xy",
            "<div>x<script>no()</script>y</div>",
            "<![CDATA[xy<script>no()]]>",
        ],
    )
    def test_scripts_and_styles_of_articles_are_left_out(self, article: str) -> None:
        feed = f"<rss><channel><item><description>{article}</description></item></channel></rss>"
        assert read(feed, "a.xml").text.replace("\n", "") == "xy"

    @together(
        "text",
        [
            '<farm><feed kind="hay"/>grass</farm>',
            '<rdf:RDF xmlns:owl="o"><owl:Class rdf:about="#Pizza"/></rdf:RDF>',
            "<!-- <rss> --><a/>",
        ],
    )
    def test_xml_that_is_no_feed_stays_as_it_is(self, text: str) -> None:
        assert read(text, "a.xml") == Extracted(text, "a.xml", "application/xml")

    @together(
        "start", ['<feed xmlns="http://www.w3.org/2005/Atom">', '<rdf:RDF xmlns="http://purl.org/rss/1.0/">', "<rss>"]
    )
    def test_every_kind_of_feed_is_one(self, start: str) -> None:
        assert read(f"<!-- x -->\n{start}<title>T</title><a>wo<b>rd</b>s</a>", "a.xml").text == "T\nwords"

    def test_xml_references_can_be_searched_as_letters(self) -> None:
        text = read("<a>caf&#233; &#x20AC; &#60; &#xD800; &#9999999; <![CDATA[&#233;]]></a>", "a.xml").text
        assert text == "<a>café € &#60; &#xD800; &#9999999; <![CDATA[&#233;]]></a>"

    async def test_a_feed_that_closes_nothing_takes_no_longer(self) -> None:
        for open_mark in ("<!--", "<![CDATA[", "<?", "<!DOCTYPE", "<a", "&", " ", "<title>"):
            with fail_soon(3):
                await anyio.to_thread.run_sync(read, "<rss>" + open_mark * 100_000, "a.rss", abandon_on_cancel=True)


class TestNotebook:
    def test_a_notebook_of_version_3_is_read(self) -> None:
        cells = [
            {"cell_type": "heading", "level": 2, "source": ["Head"]},
            {"cell_type": "code", "input": ["x = 1\n", "y"], "language": "python"},
        ]
        notebook = json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3})
        assert read(notebook, "a.ipynb").text == "## Head\n\n```\nx = 1\ny\n```"

    def test_cells_become_markdown_without_the_plumbing(self) -> None:
        cells = [
            {"cell_type": "markdown", "source": ["# Title\n", "text"]},
            {"cell_type": "code", "source": "x = 1", "outputs": [{"text": "no"}]},
        ]
        notebook = json.dumps({"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4})
        text, is_a = "# Title\ntext\n\n```python\nx = 1\n```", "application/x-ipynb+json"
        expected = Extracted(text, "Title", "text/markdown", read_as=is_a)
        assert read(notebook, "a.ipynb") == expected

    @together("text", ["{", "[]", '{"cells": 1}', "[" * 100_000, '{"cells": [1, {"source": [2]}]'])
    def test_what_is_no_notebook_says_so(self, text: str) -> None:
        assert refusal(text.encode(), "a.ipynb").code == "malformed"


@settings(deadline=None)  # the first document of a kind imports what reads it
@given(st.binary(max_size=300), st.sampled_from(["", *(f".{extension}" for extension in EXTENSIONS)]))
def test_any_bytes_give_clean_text_or_a_document_error(data: bytes, extension: str) -> None:
    try:
        document = extract(data, f"a{extension}")
    except DocumentError:
        return
    document.text.encode("utf-8")
    document.title.encode("utf-8")
    assert "\0" not in document.text
    assert "\r" not in document.text


IN_SCOPE = (".md", ".txt", ".rst", ".html", ".csv", ".json", ".xml", ".eml", ".ipynb", ".bin")


def squeezed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def test_the_known_documents_give_the_text_they_are_known_to_have(corpora: Path) -> None:
    root = corpora / "formats"
    wrong = []
    for line in (root / "expected.jsonl").read_text().splitlines():
        expected = json.loads(line)
        path = root / expected["file"]
        if path.suffix in IN_SCOPE:
            wrong += [f"{path.name}: {fault}" for fault in faults(path, expected)]
    assert not wrong


def faults(path: Path, expected: dict[str, list[str]]) -> list[str]:
    try:
        text = squeezed(extract(path.read_bytes(), path.name).text)
    except DocumentError as error:
        return [] if expected.get("must_fail") else [str(error)]
    missing = [f"lacks {each!r}" for each in expected.get("must_contain", []) if squeezed(each) not in text]
    present = [f"has {each!r}" for each in expected.get("must_not_contain", []) if each in text]
    unexpected = ["has text"] if text and expected.get("must_be_empty") else []
    return missing + present + unexpected + (["did not fail"] if expected.get("must_fail") else [])
