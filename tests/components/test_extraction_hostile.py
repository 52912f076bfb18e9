"""Texts made to keep a regular expression or a parser busy: what is read in the service is read in linear time."""

import json
import threading
import time
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from phaseflow.components.extraction.registry import LARGE, extract
from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources.folder import FolderLoader
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.settings import FolderSource
from tests.components.binary_fixtures import package, xlsx
from tests.matrices import first_of_each
from tests.stopwatch import Stopwatch, fail_soon

HEADS = {
    "md": ("", "---\na: b\n", "+++\n", "---\ntitle: "),
    "rst": ("",),
    "html": ("", "<html xmlns='x'>", "<?xml "),
    "csv": ("",),
    "json": ("", '{"a":"'),
    "xml": ("", "<rss>", "<feed xmlns='atom'>", "<?xml "),
    "ipynb": ("", '{"cells":['),
    "py": ("", "# coding: "),
}
PIECES = (
    "<", "<!--", "<![CDATA[", "<a b='", "<script ", "<title>", "</", "&#1", "\\", "\\u00e9", "---\n", " \n", "a\n=",
    "`", "{", "[", '"', "=?utf-8?q?", "\n ", "title:\n ", "\u00e9",
    "a<rt>b</rt>", "<button data-target='.x'>a</button><p class=x hidden>b", "<style>.a{list-style:none}",
)  # fmt: skip
MOST_S = 3.0
"""Of one core. All take under half a second; one that is quadratic takes minutes."""


@pytest.mark.parametrize("size", first_of_each([LARGE // 4, LARGE]))
@pytest.mark.parametrize("extension", HEADS)
def test_no_text_read_in_the_service_takes_long(extension: str, size: int) -> None:
    for head in HEADS[extension]:
        for piece in PIECES:
            data = (head + piece * (size // len(piece))).encode()[:size]
            watch = Stopwatch(time.thread_time)
            try:
                extract(data, f"a.{extension}")
            except DocumentError:
                continue
            finally:
                assert watch.within(MOST_S * size / LARGE), (head, piece)


def test_a_sheet_of_styles_and_drawings_without_end_is_read_in_linear_time() -> None:
    for piece in ("<style:style style:name='a'", "<draw:g>", "<text:span text:style-name='T'>"):
        content = "<table:table-cell office:value-type='percentage'>style:text-position" + piece * 40_000 + "</x>"
        kind = "application/vnd.oasis.opendocument.spreadsheet"
        data = package({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": "<m/>"})
        watch = Stopwatch(time.thread_time)
        with suppress(DocumentError):
            extract(data, "a.ods")
        assert watch.within(MOST_S), piece


def test_a_cell_of_text_without_end_is_refused_before_it_is_read() -> None:
    sheet = '<row r="1"><c r="A1" t="inlineStr"><is><t>' + "a" * 9_000_000
    watch = Stopwatch(time.thread_time)
    with pytest.raises(DocumentError, match="in one cell") as caught:
        extract(xlsx({"One": sheet}), "a.xlsx")
    assert watch.within(MOST_S)
    assert caught.value.code == "too_large"


def test_titles_that_never_end_are_not_searched_again_and_again() -> None:
    watch = Stopwatch(time.thread_time)
    assert extract(b"<rss>" + b"<title>" * 2_800, "a.xml").title == "a.xml"
    assert watch.within(0.5)


@pytest.mark.thorough
async def test_a_large_notebook_leaves_the_interpreter_to_the_service(tmp_path: Path) -> None:
    cell = json.dumps({"cell_type": "code", "source": [], "outputs": [[n, n] for n in range(40)]})
    said = json.dumps({"cell_type": "markdown", "source": "x"})
    (tmp_path / "a.ipynb").write_text('{"cells":[' + ",".join([said] + [cell] * 40_000) + "]}")
    beats, late = 0, list[Stopwatch]()
    ended = threading.Event()

    def beat() -> None:
        nonlocal beats
        is_over = False
        while not is_over:
            watch = Stopwatch(time.process_time)  # what others of the machine do holds up nobody here
            is_over = ended.wait(0.005)
            beats += 1
            if not watch.within(0.5):
                late.append(watch)

    async with aclosing(FolderLoader(FolderSource(str(tmp_path)))) as loader:
        heart = threading.Thread(target=beat)
        heart.start()
        try:
            with fail_soon(60):
                found = await loader.load(Entry("a.ipynb"), None)
        finally:
            ended.set()
            heart.join()
    assert isinstance(found, Document)
    assert (late, beats > 3) == ([], True)
