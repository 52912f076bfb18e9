"""The table of recall: what stands in the markup of documents, by a walk that knows nothing of the extraction."""

import subprocess
import sys
from pathlib import Path

from benchmarks import recall
from tests.components.binary_fixtures import SAMPLES

ROOT = Path(__file__).parents[2]


def test_the_words_of_the_markup_are_found_by_format(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text("<nav>menu</nav><p>Four <b>score</b>s</p><script>code()</script>")
    feed = tmp_path / "a.rss"
    feed.write_text(
        "<rss><channel><title>News</title><item><description>&lt;p&gt;today&lt;/p&gt;</description></item></channel></rss>"
    )
    assert recall.words(recall.in_markup(page) or "") >= {"four"}
    assert "menu" not in (recall.in_markup(page) or "")
    assert recall.words(recall.in_markup(feed) or "") == {"news", "today"}
    damaged = tmp_path / "a.docx"
    damaged.write_bytes(b"PK no archive")
    assert recall.in_markup(damaged) is None
    assert recall.in_markup(tmp_path / "a.png") is None


def test_what_stands_beside_the_content_of_a_page_is_counted_by_itself(tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    page.write_text(
        "<header>Site</header><p hidden>gone</p><button>Press</button><main><header>Top</header><p>"
        + "Words " * 20
        + "</p></main><p>teaser</p><footer>imprint words</footer>"
    )
    content = recall.words(recall.in_markup(page) or "")
    assert content == {"top", "words"}
    assert recall.words(recall.beside(page)) - content == {"site", "gone", "press", "teaser", "imprint"}


def test_raised_letters_count_however_they_are_written(tmp_path: Path) -> None:
    for shown in ("10⁶ cells", "10^6 cells", "10^(6) cells", "106 cells", "10 6 cells"):
        assert recall.readings(shown) & {"10", "106"}, shown
    assert recall.words("Silben\xadtrennung H₂O") == {"silbentrennung", "h2o"}


def test_the_table_says_who_kept_more_and_which_words() -> None:
    table = recall.Table(["phaseflow", "other"])
    table.add(Path("a.html"), {"one", "two"}, {"menu"}, {"phaseflow": {"one"}, "other": {"two", "one", "menu"}})
    table.add(Path("a.odt"), {"one"}, set(), {"phaseflow": {"one"}, "other": {"one"}})
    rows = [line.split() for line in table.shown().splitlines()]
    assert rows[0][3:] == ["phaseflow", "other"]
    assert [".html", "1", "2", "50.0", "%", "100.0", "%"] in rows
    assert [".html", "beside", "1", "1", "0.0", "%", "100.0", "%"] in rows
    assert table.behind() == ["behind other in .html: a.html (two)"]


def test_the_table_is_printed_for_a_folder(tmp_path: Path) -> None:
    for name, data in SAMPLES.items():
        if name.endswith((".docx", ".pptx", ".xlsx", ".odt")):
            (tmp_path / name).write_bytes(data)
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks", "recall", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    lines = found.stdout.splitlines()
    assert lines[-2:] == ["", "behind: none"]
    del lines[-2:]
    assert lines[0].split() == ["format", "files", "words", "phaseflow"]
    shares = {line.split()[0]: float(line.split()[3]) for line in lines[1:-1]}
    assert shares[".docx"] > 90
    assert shares[".pptx"] > 90
