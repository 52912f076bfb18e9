"""Broken documents by the thousand, read in real workers: what comes out is clean text or an error that says why.

So are broken ``robots.txt``, sitemaps, pages and archives, by the parsers of the crawler and of the folder source,
which work in threads and have to be quick about it.

By hand, for an hour: ``python -m tests.components.mutation --seconds 3600 --seed 1``. With PHASEFLOW_CORPORA the
known documents of the shared test data are broken too. Prints what came out, by format, each minute and at the end,
also when it is stopped (SIGINT, SIGTERM); ends with 1 if a rule broke.
"""

import argparse
import gzip
import os
import random
import signal
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import anyio
import anyio.to_thread

from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.components.sources import archive
from phaseflow.components.sources.git.pack_check import check_pack
from phaseflow.components.sources.remote.client_rules import check_rules
from phaseflow.components.sources.remote.connections import Connections
from phaseflow.components.sources.remote.listing import size_of, stamp_of
from phaseflow.components.sources.web.address import normalised
from phaseflow.components.sources.web.answer import Answer
from phaseflow.components.sources.web.body import Body
from phaseflow.components.sources.web.limits import Limits as WebLimits
from phaseflow.components.sources.web.page import Page
from phaseflow.components.sources.web.robots import Rules
from phaseflow.components.sources.web.sitemap import Sitemap
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.components.workers.process import Limits
from phaseflow.components.workers.recognition import RecognisingPool, Recognition
from phaseflow.domain.errors import ComponentUnavailable, DocumentError, InvalidRequest, SourceNotAllowed
from phaseflow.domain.remote_sources import FsspecSource, protocol_of
from tests.components.binary_fixtures import SAMPLES, package
from tests.stopwatch import Stopwatch

TEXTS: Mapping[str, bytes] = {
    "a.html": b"<!doctype html><title>T</title><h1>H</h1><table><tr><td>a<td>b</table><pre>c</pre><ul><li>d</ul>",
    "a.md": b"---\ntitle: T\n---\n# H\n\n| a | b |\n| - | - |\n\n```\ncode\n```\n",
    "a.rst": b"Title\n=====\n\ntext\n",
    "a.csv": b'a;"b"\n1;2\n',
    "a.json": b'{"a": ["\\u540d", 1.5, null]}',
    "a.xml": b"<?xml version='1.0'?><rss><channel><title>T</title><item><![CDATA[<b>x</b>]]></item></channel></rss>",
    "a.eml": b"Subject: =?utf-8?q?G=C3=BC?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n",
    "b.eml": b"From: J\xf6rg <=?koi8-r?b?z8/P?= a@b>\nContent-Type: multipart/alternative; boundary=b\n\n--b\n"
    b"Content-Type: multipart/related; boundary=c; start=d\n\n--c\nContent-ID: <d>\nContent-Type: text/html\n\n<p>x\n"
    b"--c\nContent-Type: image/png; name*0*=utf-8''%C3; name*1*=%A4.png\nContent-Transfer-Encoding: base64\n\neA==\n"
    b"--c--\n--b\nContent-Type: message/rfc822\n\nSubject: =?latin-1*en?q?=FC?=\n\ny\n--b--\n",
    "a.ipynb": b'{"cells": [{"cell_type": "code", "source": ["x = 1"]}], "metadata": {}, "nbformat": 4}',
    "a.txt": "Grüße, мир, 名前".encode("utf-16"),
    "a.tsv": "a\tb\n1\tü\n".encode("cp1252"),
    "a.jsonl": b'{"a": "\\ud83d\\ude00"}\n[1, 2]\n\n"x"\n',
    "a.atom": b"<feed xmlns='http://www.w3.org/2005/Atom'><title>T</title><entry><content>&lt;p&gt;x</content></entry></feed>",
    "a.mht": b"MIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n"
    b"Content-Transfer-Encoding: quoted-printable\n\n<p>a=3Db</p>\n--b--\n",
    "a.py": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
    "a.adoc": b"= T\nA. Author <a@b.c>\n:keywords: a, b\n\n== H\n\n----\n== code\n----\n",
    "a.org": b"#+TITLE: T\n#+FILETAGS: :a:b:\n* TODO [#A] H :tag:\n#+BEGIN_SRC c\n* code\n#+END_SRC\n",
    "a.tex": b"\\title{A \\emph{T} \\'e}\n\\begin{a}\n\\section[s]{H {\\bf b}} % \\section{no}\n\\end{a}\n",
    "a.mbox": b"From a@b Mon Jan  1 00:00:00 2024\nSubject: one\n\n>From x\n\nFrom c@d Tue Jan  2 00:00:00 2024\n"
    b"Subject: =?utf-8?b?w7w=?=\nContent-Type: text/html\n\n<p>two\n",
    "a.vcf": b"BEGIN:VCARD\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BC=\nller;Ann;;Dr.;\nTEL;HOME:1\nADR:;;a;b\n"
    b"PHOTO;ENCODING=b:AAAA\n BBBB\nEND:VCARD\n",
    "a.ics": b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Fa\n ir\nDTSTART;TZID=Europe/Berlin:20240311T090000\n"
    b'ATTENDEE;CN="Ann, B":mailto:ann@b.example\nBEGIN:VALARM\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR\n',
    "a.fodt": b"<office:document xmlns:office='urn:x:office' xmlns:text='urn:text'><office:meta><title>T</title>"
    b"</office:meta><office:body><text:h text:outline-level='1'>a</text:h><text:list><text:list-item><text:p>x"
    b"<text:span>y</text:span></text:p></text:list-item></text:list></office:body></office:document>",
}
LARGEST = 300_000
LIMITS = Limits(time_s=20, memory_bytes=512 << 20)
SLOW_S = 10
"""For a reader in a thread: a good one takes milliseconds, and two cores that are busy with others a second."""
_SITE = "http://a.test"
_INTERESTING = (b"\0", b"\xff", b"<", b">", b"&", b"{", b"}", b"\\", b"99999999", b"-1", b"%", b"/", b"0 R", b'"')


def _robots(data: bytes) -> None:
    rules = Rules.read(Answer(f"{_SITE}/robots.txt", 200, {}, data), "phaseflow")
    rules.allowed([f"{_SITE}/", f"{_SITE}/a/b.html?c=d", f"{_SITE}/%C3%A9"])
    assert rules.delay_s is None or rules.delay_s >= 0
    assert all(map(_is_normal, rules.sitemaps))


def _sitemap(data: bytes) -> None:
    found = Sitemap.read(data, f"{_SITE}/sitemap.xml", WebLimits())
    assert all(map(_is_normal, (*found.pages, *found.sitemaps)))


def _page(data: bytes) -> None:
    found = Page.read(Raw(data, f"{_SITE}/a/"), f"{_SITE}/a/", "phaseflow")
    assert all(map(_is_normal, found.links))


def _headers(data: bytes) -> None:
    link, _, tag = data.decode("latin-1").partition("\n")
    Page.of_headers({"link": link, "x-robots-tag": tag}, f"{_SITE}/a", "phaseflow")


def _body(data: bytes) -> None:
    body = Body(_SITE, "gzip", WebLimits())
    body.feed(data)
    body.whole()


def _archive(data: bytes) -> None:
    for member in archive.members(BytesIO(data), "a.zip"):
        archive.read(BytesIO(data), member.name, "a.zip", LARGEST)


def _pack(data: bytes) -> None:
    try:
        check_pack(BytesIO(data), max_object=LARGEST)
    except ComponentUnavailable as error:
        raise DocumentError(str(error), code="not a pack") from error


def _listed_file(data: bytes) -> None:
    """What a server says of a file: any words for its size, its checksum and its times."""
    size, *words = data.decode("utf-8", "replace").split("\n")
    info: dict[str, Any] = {"size": int(size) if size.isdecimal() and len(size) < 20 else size}
    for name, word in zip(("ETag", "LastModified", "mtime", "Last-Modified"), words, strict=False):
        info[name] = float(word) if word.replace(".", "", 1).isdecimal() and word.isascii() and word != "." else word
    assert (size_of(info) or 0) >= 0
    stamp_of(info, datetime.now(UTC))
    stamp_of({**info, "ETag": None}, datetime.now(UTC))


def _address(data: bytes) -> None:
    try:
        source = FsspecSource(data.decode("utf-8", "replace"))
    except ValueError as error:
        raise DocumentError(str(error), code="not an address") from error
    try:
        check_rules(source, Connections({}))
    except (SourceNotAllowed, InvalidRequest) as error:
        raise DocumentError(str(error), code="not allowed") from error
    assert protocol_of(source.url) in {"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "http", "https", "github"}
    assert "::" not in source.url.replace("[::1]", "")


def _picture(kind: str) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (300, 60), "white")
    ImageDraw.Draw(image).text((10, 10), "Some words", fill="black", font=ImageFont.load_default(32))
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


PICTURES: Mapping[str, str] = {"a.png": "PNG", "a.jpg": "JPEG", "a.tif": "TIFF", "scan.pdf": "PDF"}
"""Read by text recognition, which takes its time: one in a hundred of its turns is used."""
SELDOM = 100
REPORT_S = 60


def _is_normal(url: str) -> bool:
    return normalised(url, _SITE) == url


READERS: Mapping[str, tuple[Callable[[bytes], None], bytes]] = {
    "robots": (
        _robots,
        b"User-agent: PhaseFlow/1.0\nDisallow: /a*b$\nAllow: /a/\nCrawl-delay: 0.5\n\nUser-agent: *\nDisallow: /\n"
        b"Sitemap: http://a.test/s.xml\nRequest-rate: 1/5s 0900-1700\nVisit-time: 0600-0845\n",
    ),
    "sitemap": (
        _sitemap,
        b"<?xml version='1.0' encoding='UTF-8'?><urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url>"
        b"<loc>http://a.test/?a=1&amp;b=2</loc><lastmod>2024-01-01</lastmod></url><url><loc><![CDATA[/x]]></loc></url></urlset>",
    ),
    "packed sitemap": (
        _sitemap,
        gzip.compress(b"<sitemapindex><sitemap><loc>http://a.test/1.xml</loc></sitemap></sitemapindex>", mtime=0),
    ),
    "page": (
        _page,
        b"<html><head><base href='/b/'><link rel=canonical href='c'><meta name=robots content='noindex, follow'>"
        b"<meta http-equiv=refresh content='3; url=d'></head><body><a href='../e?f#g'>x</a>"
        b"<a rel='nofollow' href=h>y</a>"
        b"<iframe src='//a.test:80/i'></iframe><area href='http://[::1]/j'>"
        b"<a href='http://xn--bcher-kva.test/'>z</a></body></html>",
    ),
    "headers": (
        _headers,
        b'<http://a.test/b>; rel="canonical"; x="y", <c>; rel=next\nphaseflow: noindex, other: none, nofollow',
    ),
    "packed body": (_body, gzip.compress(b"<p>" * 1000, mtime=0)),
    "pack": (
        _pack,
        b"PACK\0\0\0\x02\0\0\0\x02\x35"
        + zlib.compress(b"hello")
        + b"\x64\x10"
        + zlib.compress(b"\x05\x05\x90\x05")
        + b"\0" * 20,
    ),
    "listed file": (_listed_file, b'12\n"abc"\nWed, 21 Oct 2015 07:28:00 GMT\n1700000000.5\n2024-01-01T00:00:00+00:00'),
    "address": (_address, b"s3://bucket/a/b?c#d"),
    "archive": (_archive, package({"a/b.md": "# b", "c.txt": b"c" * 1000, "mimetype": "stored"})),
}
"""The parsers that are not behind a worker process, each with something to read."""


def samples() -> dict[str, bytes]:
    """The documents to be broken, by name."""
    pictures = {name: _picture(kind) for name, kind in PICTURES.items()}
    found = {**SAMPLES, **TEXTS, **pictures, **{name: sample for name, (_, sample) in READERS.items()}}
    corpora = os.environ.get("PHASEFLOW_CORPORA")
    for path in sorted(Path(corpora, "formats", "files").iterdir()) if corpora else ():
        if path.stat().st_size <= LARGEST:
            found[path.name] = path.read_bytes()
    return found


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Break a document in a few places; an archive, half of the time, inside one of its members."""
    if data.startswith(b"PK") and chance.random() < 0.7:
        return _inside(data, chance)
    return _broken(data, chance)


def _broken(data: bytes, chance: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(chance.choice((1, 1, 3, 10))):
        place = chance.randrange(len(broken) + 1)
        length = chance.choice((1, 1, 4, 50, 1000))
        kind = chance.randrange(5)
        if kind == 0 and place < len(broken):
            broken[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del broken[place : place + length]
        elif kind == 2:
            broken[place:place] = chance.choice(_INTERESTING) * chance.choice((1, 1, 100))
        elif kind == 3:
            broken[place:place] = broken[place : place + length] * chance.choice((1, 2, 50))
        else:
            broken[place : place + length] = chance.randbytes(min(length, 50))
    return bytes(broken)


def _inside(data: bytes, chance: random.Random) -> bytes:
    target = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as broken:
        names = source.namelist()
        victim = chance.choice(names)
        for name in names:
            content = source.read(name)
            broken.writestr(name, _broken(content, chance) if name == victim else content)
    return target.getvalue()


def faults(found: Extracted) -> list[str]:
    """The rules that a text breaks."""
    offsets = [offset for offset, _ in found.parts]
    rules = {
        "text is clean": not any(sign in found.text for sign in "\0\r"),
        "text is Unicode": found.text.encode("utf-8", "replace").decode() == found.text,
        "title is one line": bool(found.title) and "\n" not in found.title,
        "parts ascend": offsets == sorted(set(offsets)),
        "parts lie in the text": all(0 <= offset < len(found.text) for offset in offsets),
    }
    return [rule for rule, holds in rules.items() if not holds]


async def outcome(pool: ExtractionPool, data: bytes, name: str, recognising: RecognisingPool | None = None) -> str:
    """What came of a broken document: ``text``, the code of an error, or ``BROKEN`` and the rules."""
    if name in READERS:
        return await anyio.to_thread.run_sync(_outcome_of_reader, READERS[name][0], data)
    try:
        found = await (
            recognising.extract(data, name) if recognising and name in PICTURES else pool.extract(data, name)
        )
    except DocumentError as error:
        return error.code
    broken = faults(found)
    return f"BROKEN {', '.join(broken)}" if broken else "text"


def _outcome_of_reader(read: Callable[[bytes], None], data: bytes) -> str:
    watch = Stopwatch()
    try:
        read(data)
    except DocumentError as error:
        return error.code
    except Exception as error:  # noqa: BLE001  # whatever it is, it broke the rule
        return f"BROKEN {error!r}"
    return "read" if watch.within(SLOW_S) else "BROKEN slow"


def cases(seed: int) -> Iterator[tuple[str, int]]:
    """Names and seeds, for ever, each name in turn."""
    names = [*samples()]
    while True:
        for name in names:
            yield name, seed
        seed += 1


class Run:
    """Reads broken documents until the time is over or a signal ends it; ``totals`` say what came of them."""

    def __init__(self, seed: int, seconds: float, report_s: float = REPORT_S) -> None:
        self._documents = samples()
        self._todo = cases(seed)
        self._report_s = report_s
        self._began = time.monotonic()
        self._end = self._began + seconds
        self._found = Counter[tuple[str, str]]()
        self._ended_by = ""

    @property
    def is_broken(self) -> bool:
        return any(came.startswith("BROKEN") for _, came in self._found)

    def totals(self) -> str:
        rows = [f"{suffix:14} {came:40} {times:>8,}" for (suffix, came), times in sorted(self._found.items())]
        told = f"{time.monotonic() - self._began:,.0f} s{self._ended_by}"
        return "\n".join((*rows, f"{'all':14} {told:40} {self._found.total():>8,}"))

    async def run(self) -> None:
        recognition = Recognition(1)
        async with ExtractionPool(limits=LIMITS) as pool, anyio.create_task_group() as around:
            around.start_soon(self._stop_at_signal, around.cancel_scope)
            around.start_soon(self._report)
            async with anyio.create_task_group() as readers:
                for _ in range(pool.workers.capacity):
                    readers.start_soon(self._read_on, pool, RecognisingPool(pool, recognition))
            around.cancel_scope.cancel()
        await recognition.aclose()

    async def _read_on(self, pool: ExtractionPool, recognising: RecognisingPool) -> None:
        while time.monotonic() < self._end:
            name, number = next(self._todo)
            if name in PICTURES and number % SELDOM:
                continue
            chance = random.Random(f"{name}:{number}")  # noqa: S311  repeatable, not secret
            data = mutated(self._documents[name], chance)
            came = await outcome(pool, data, name, recognising)
            self._found[PurePosixPath(name).suffix or name, came] += 1
            if came.startswith(("BROKEN", "extraction_")):
                print(f"{name} with seed {number}: {came}", flush=True)

    async def _stop_at_signal(self, scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                self._ended_by = f", ended by {signal.Signals(number).name}"
                scope.cancel()
                return

    async def _report(self) -> None:
        while True:
            await anyio.sleep(self._report_s)
            print(f"{self.totals()}\n", flush=True)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--report", type=float, default=REPORT_S, help="seconds from one table of totals to the next")
    chosen = words.parse_args()
    fuzzing = Run(chosen.seed, chosen.seconds, chosen.report)
    try:
        anyio.run(fuzzing.run)
    finally:
        print(fuzzing.totals(), flush=True)
    return int(fuzzing.is_broken)


if __name__ == "__main__":
    raise SystemExit(main())
