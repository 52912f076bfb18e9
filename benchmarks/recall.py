"""How many of the words of documents come out: those that stand in the markup against those that were extracted.

    python -m benchmarks recall FOLDER… [--peers PYTHON]

Reads every document below the folders. What should come out is read from the markup by a plain walk through it: the
text of the XML of Office, OpenDocument and EPUB, of HTML without scripts, styles and navigation, of XML, and of PDF by
`pdftotext` where that is installed. Per format: documents, words in the markup (each once a document), and the share of
these that came out. Words that nobody sees (hidden, deleted) count as missing: it is the comparison that tells.

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
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
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
INLINE = ["a", "b", "em", "font", "i", "s", "span", "strong", "u"]
ENCODING = re.compile(rb"encoding=[\"']([-\w.]+)")
DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
AROUND = "script, style, template, noscript, nav, [role=navigation], footer, [role=contentinfo], [role=search], header"
"""Of a page, what is not its content."""


def words(text: str) -> set[str]:
    return {word.casefold() for word in WORD.findall(text)}


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
    from selectolax.lexbor import LexborHTMLParser

    from phaseflow.components.extraction.decoding import text_of
    from phaseflow.components.extraction.types import Raw

    tree = LexborHTMLParser(text_of(Raw(data, "a.txt")))
    for hidden in tree.css(AROUND):
        hidden.decompose()
    # A word may be cut into several styles, never into several paragraphs.
    tree.unwrap_tags(INLINE)
    tree.merge_text_nodes()
    return tree.body.text(separator=" ") if tree.body else ""


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
        if suffix in {".html", ".htm", ".xhtml"}:
            return in_html(path.read_bytes())
        if suffix in {".xml", ".rss", ".atom", ".fodt", ".fodp", ".fods"}:
            return in_xml(path.read_bytes())
        return in_pdf(path) if suffix == ".pdf" else None
    except (ElementTree.ParseError, zipfile.BadZipFile, KeyError, OSError, subprocess.SubprocessError):
        return None  # damaged: nobody knows what should come out


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
    kept: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(readers, 0))
    there, files = defaultdict[str, int](int), defaultdict[str, int](int)
    took = dict.fromkeys(readers, 0.0)
    for path in documents(chosen.folders):
        expected = words(in_markup(path) or "")
        if not expected:
            continue
        suffix = path.suffix.lower()
        files[suffix] += 1
        there[suffix] += len(expected)
        for name, read in readers.items():
            began = time.perf_counter()
            found = expected & words(read(path))
            took[name] += time.perf_counter() - began
            kept[suffix][name] += len(found)
            if name == "phaseflow" and chosen.missing and len(found) < len(expected):
                print(f"{path.name}: {' '.join(sorted(expected - found)[: chosen.missing])}")
    print(f"{'format':8} {'files':>6} {'words':>9}  " + "  ".join(f"{name:>10}" for name in readers))
    for suffix in sorted(files):
        columns = "  ".join(f"{share(kept[suffix][name], there[suffix]):>10}" for name in readers)
        print(f"{suffix:8} {files[suffix]:6} {there[suffix]:9,}  {columns}")
    print(f"{'seconds':8} {'':6} {'':9}  " + "  ".join(f"{took[name]:10.1f}" for name in readers))
    for peer in peers.values():
        peer.close()


if __name__ == "__main__":
    main()
