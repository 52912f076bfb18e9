"""How many of the words of documents come out: those that stand in the markup against those that were extracted.

    python -m benchmarks recall FOLDER… [--peers PYTHON]

Reads every document below the folders. What should come out is read from the markup by a plain walk through it: the
text of the XML of Office, OpenDocument and EPUB, of HTML, of XML, and of PDF by `pdftotext` where that is installed.
Per format: documents, words in the markup (each once a document), and the share of these that came out. Words that
nobody sees (hidden, deleted) count as missing: it is the comparison that tells.

Of web pages, words that stand only where nobody reads the content have a line of their own, "beside": in navigation, in
the head and foot of the site, beside the main part where the page marks one, in what is hidden, in controls and menus.
A reader may leave them out, as phaseflow does on purpose, or keep them. A raised or lowered letter (10⁶) may be written
in any way that shows the word: 106, 10⁶, 10^6, or apart.

The last lines say in which formats another reader kept more words of the content, and which they are.

`--peers` names the Python of an environment that has markitdown, xberg or both; each is asked in a process of its own,
a document at a time.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

PEERS = ("markitdown", "xberg")
LONGEST_S = 60
WORD = re.compile(r"[^\W_]{2,}")
MEMBERS = {
    ".docx": r"word/(document|footnotes|endnotes|comments|header\d*|footer\d*)\.xml",
    ".pptx": r"ppt/(slides|notesSlides|comments)/[^/]+\.xml",
    ".xlsx": r"xl/(sharedStrings|comments\d*|worksheets/[^/]+)\.xml",
    ".epub": r".*\.x?html?",
    **dict.fromkeys((".odt", ".odp", ".ods"), r"content\.xml"),
}
"""Where the text stands in a package."""
PAGES = {".html", ".htm", ".xhtml"}
INLINE = ["a", "abbr", "b", "code", "em", "font", "i", "kbd", "s", "small", "span", "strong", "tt", "u", "var"]
ENCODING = re.compile(rb"encoding=[\"']([-\w.]+)")
DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
NO_TEXT = "script, style, template, noscript, head"
BESIDE = (
    "nav, header, footer, button, select, dialog:not([open]), a.headerlink, [hidden]:not([hidden=until-found]), "
    "[aria-hidden=true], [style*='display:none'], [style*='display: none'], [style*='visibility:hidden'], "
    "[style*='visibility: hidden'], "
    "[role=navigation], [role=contentinfo], [role=search], [role=menu], [role=menubar], [role=banner]"
)
"""Of a page, what frames its content, what nobody sees, and what is there to be pressed."""
HEADS_OF_PARTS = ", ".join(f"{part} header, {part} footer" for part in ("article", "aside", "main", "section"))
MAIN = "main, [role=main]"
MAIN_SHARE = 0.25
"""Of the text of a page: what is marked as its main part and holds less is a teaser."""
BESIDE_CONTENT = "beside"
RAISED = re.compile("[\u2070-\u209c\u00b2\u00b3\u00b9]+")
MARKED = re.compile(r"(?<=\w)[\^_]\(?(?=\w)")


def words(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKC", text.replace("\xad", ""))
    return {word.casefold() for word in WORD.findall(plain)}


def readings(text: str) -> set[str]:
    """The words of what a reader made of a document, those with raised letters in each way that the markup may have."""
    return words(text) | words(RAISED.sub(" ", text)) | words(MARKED.sub("", text))


def in_package(path: Path) -> str:
    texts: list[str] = []
    with zipfile.ZipFile(path) as package:
        for name in package.namelist():
            if re.fullmatch(MEMBERS[path.suffix.lower()], name):
                data = package.read(name)
                texts.append(in_html(data) if path.suffix.lower() == ".epub" else in_xml(data, path.suffix.lower()))
    return "\n".join(texts)


def in_xml(data: bytes, suffix: str = "") -> str:
    from phaseflow.components.extraction.decoding import text_of
    from phaseflow.components.extraction.types import Raw

    texts: list[str] = []
    try:
        root = ElementTree.fromstring(data)
    except ValueError:  # an encoding that this parser does not know
        declared = ENCODING.search(data[:200])
        text = text_of(Raw(data, "a.xml", declared[1].decode() if declared else None))
        root = ElementTree.fromstring(DECLARATION.sub("", text))
    for element in root.iter():
        kind = str(element.tag).rpartition("}")[2]
        if suffix == ".docx" and kind in {"p", "tab", "br"}:
            texts.append(" ")  # a word may be cut into several runs, never into several paragraphs
        if suffix in {".docx", ".pptx", ".xlsx"}:
            texts.append((element.text or "") if kind in {"t", "text"} else " " if kind in {"p", "si", "c"} else "")
        else:
            # Styles within a word end no word.
            end = "" if kind in {"span", "a", "s", "b", "i"} else " "
            texts.append(f"{'' if end == '' else ' '}{element.text or ''}{end if element.text is None else ''}")
            texts.append(element.tail or "")
    found = "".join(texts)
    return in_html(found.encode()) if "</" in found or "&#" in found else found  # feeds have pages in them


def in_html(data: bytes) -> str:
    return page_parts(data, has_main=False)[0]


def page_parts(data: bytes, *, has_main: bool = True) -> tuple[str, str]:
    """The content of a page, and all of it. `has_main`: one main part, where it is marked, is the content."""
    from selectolax.lexbor import LexborHTMLParser

    from phaseflow.components.extraction.decoding import text_of
    from phaseflow.components.extraction.types import Raw

    tree = LexborHTMLParser(text_of(Raw(data, "a.txt")))
    for never in tree.css(NO_TEXT):
        never.decompose()
    # A word may be cut into several styles, never into several paragraphs.
    tree.unwrap_tags(INLINE)
    tree.merge_text_nodes()
    if tree.body is None:
        return "", ""
    whole = tree.body.text(separator=" ")
    # The head of a part of the page says what the part is about; so does the one that has the page's heading.
    kept = {head.mem_id for head in tree.css(HEADS_OF_PARTS)}
    for around in tree.css(BESIDE):
        if around.mem_id not in kept and not (around.tag == "header" and around.css_first("h1")):
            around.decompose()
    content = tree.body.text(separator=" ")
    mains = tree.css(MAIN) if has_main else []
    if len(mains) == 1 and len(mains[0].text()) > MAIN_SHARE * len(tree.body.text()):
        content = mains[0].text(separator=" ")
    return content, whole


def in_pdf(path: Path) -> str:
    if shutil.which("pdftotext") is None:
        return ""
    found = subprocess.run(["pdftotext", "-enc", "UTF-8", str(path), "-"], capture_output=True, check=False, timeout=60)
    return re.sub(r"-\n", "", found.stdout.decode("utf-8", "replace"))


def in_markup(path: Path) -> str | None:
    """The text of the markup of a document; None for a format without any."""
    suffix = path.suffix.lower()
    try:
        if suffix in MEMBERS:
            return in_package(path)
        if suffix in PAGES:
            return page_parts(path.read_bytes())[0]
        if suffix in {".xml", ".rss", ".atom", ".fodt", ".fodp", ".fods"}:
            return in_xml(path.read_bytes())
        return in_pdf(path) if suffix == ".pdf" else None
    except (ElementTree.ParseError, zipfile.BadZipFile, KeyError, OSError, subprocess.SubprocessError):
        return None  # damaged: nobody knows what should come out


def beside(path: Path) -> str:
    """The text of a document with what stands beside its content."""
    return page_parts(path.read_bytes())[1] if path.suffix.lower() in PAGES else ""


def here(path: Path) -> str:
    from phaseflow.components.extraction import extract
    from phaseflow.domain.errors import DocumentError

    try:
        return extract(path.read_bytes(), path.name).text
    except DocumentError:
        return ""


def answer_as(peer: str) -> None:
    """Be a peer: read names of files, a line each, and answer with their texts as JSON, a line each."""
    read = {"markitdown": _markitdown, "xberg": _xberg}[peer]()
    for line in sys.stdin:
        try:
            text = read(line.strip())
        except Exception as error:  # noqa: BLE001  # whatever it raises, nothing came out
            print(json.dumps({"text": "", "error": f"{type(error).__name__}: {error}"[:200]}), flush=True)
        else:
            print(json.dumps({"text": text}), flush=True)


def _markitdown() -> Callable[[str], str]:
    from markitdown import MarkItDown

    converter = MarkItDown()
    return lambda name: str(converter.convert(name).text_content)


def _xberg() -> Callable[[str], str]:
    import asyncio

    import xberg

    async def read(name: str) -> str:
        found = await xberg.extract(xberg.ExtractInput(kind="uri", uri=name))
        return "\n".join(str(each.content) for each in found.results)

    return lambda name: asyncio.run(read(name))


class Peer:
    """A library in a process of its own; one that hangs or crashes is started anew."""

    def __init__(self, python: str, name: str) -> None:
        self._words = [python, __file__, "--answer-as", name]
        self._process: subprocess.Popen[str] | None = None

    def text(self, path: Path) -> str:
        import selectors

        if self._process is None:
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018  # both are what mypy needs
        try:
            process.stdin.write(f"{path.absolute()}\n")
            process.stdin.flush()
            with selectors.DefaultSelector() as ready:
                ready.register(process.stdout, selectors.EVENT_READ)
                line = process.stdout.readline() if ready.select(LONGEST_S) else ""
        except BrokenPipeError:
            line = ""
        if not line:
            process.kill()
            self.close()
            return ""
        try:
            return str(json.loads(line)["text"])
        except ValueError:  # something else that it printed
            return ""

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait(10)


def has(python: str, peer: str) -> bool:
    return (
        subprocess.run([python, "-c", f"import {peer}"], capture_output=True, check=False, timeout=120).returncode == 0
    )


def documents(folders: Iterable[str]) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in sorted(Path(folder).rglob("*")) if path.is_file())


@dataclass(slots=True)
class Table:
    """What came out, by format and reader. Rows that end in `beside` are of the words beside the content."""

    readers: list[str]
    files: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    took: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    only: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    """Words of the content that another reader kept and phaseflow did not, with their documents."""

    def add(self, path: Path, content: set[str], around: set[str], found: dict[str, set[str]]) -> None:
        suffix = path.suffix.lower()
        for row, expected in ((suffix, content), (f"{suffix} {BESIDE_CONTENT}", around)):
            if expected:
                self.files[row] += 1
                self.there[row] += len(expected)
                self.kept.update({(row, name): len(expected & came) for name, came in found.items()})
        for name, came in found.items():
            if more := (content & came) - found["phaseflow"]:
                self.only[suffix, name].append(f"{path.name} ({', '.join(sorted(more))})")

    def behind(self) -> list[str]:
        return [
            f"behind {name} in {suffix}: {'; '.join(self.only[suffix, name])}"
            for suffix in sorted(self.files)
            for name in self.readers
            if self.kept[suffix, name] > self.kept[suffix, "phaseflow"] and not suffix.endswith(BESIDE_CONTENT)
        ]

    def shown(self) -> str:
        rows = [f"{'format':14} {'files':>6} {'words':>9}  " + "  ".join(f"{name:>10}" for name in self.readers)]
        for row in sorted(self.files):
            columns = "  ".join(f"{share(self.kept[row, name], self.there[row]):>10}" for name in self.readers)
            rows.append(f"{row:14} {self.files[row]:6} {self.there[row]:9,}  {columns}")
        rows.append(f"{'seconds':14} {'':6} {'':9}  " + "  ".join(f"{self.took[name]:10.1f}" for name in self.readers))
        return "\n".join([*rows, "", *(self.behind() or ["behind: none"])])


def share(kept: int, all_there: int) -> str:
    return f"{100 * kept / all_there:6.1f} %" if all_there else "     -  "


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folders", nargs="*")
    options.add_argument("--peers", metavar="PYTHON", help="of an environment with markitdown, xberg or both")
    options.add_argument("--answer-as", choices=PEERS, help=argparse.SUPPRESS)
    options.add_argument("--missing", type=int, default=0, help="show so many words a document that did not come out")
    chosen = options.parse_args()
    if chosen.answer_as:
        answer_as(chosen.answer_as)
        return
    peers = {name: Peer(chosen.peers, name) for name in PEERS if chosen.peers and has(chosen.peers, name)}
    readers: dict[str, Callable[[Path], str]] = {"phaseflow": here, **{name: peer.text for name, peer in peers.items()}}
    table = Table(list(readers))
    for path in documents(chosen.folders):
        expected = words(in_markup(path) or "")
        if not expected:
            continue
        found: dict[str, set[str]] = {}
        for name, read in readers.items():
            began = time.perf_counter()
            found[name] = readings(read(path))
            table.took[name] += time.perf_counter() - began
        table.add(path, expected, words(beside(path)) - expected, found)
        if chosen.missing and (missing := expected - found["phaseflow"]):
            print(f"{path.name}: {' '.join(sorted(missing)[: chosen.missing])}")
    print(table.shown())
    for peer in peers.values():
        peer.close()


if __name__ == "__main__":
    main()
