"""What reading documents costs: phaseflow in the same process and through its workers, against the bare library.

    python benchmarks/extraction.py FOLDER… [--rounds 3] [--workers N]

Reads every document below the folders, by format. `bare` is the library alone, to plain text: pypdfium2 (PDF),
selectolax (HTML, without tables and lists), python-docx, python-pptx and openpyxl where they are installed; `-` where
there is none. `here` is phaseflow's extraction in this process, `workers` through its pool of processes, as an engine
reads binary formats; starting them is in the time. Seconds are the smallest of the rounds; MB are those of the files.
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import anyio

from phaseflow.components.extraction import extract
from phaseflow.components.extraction.formats import FORMATS
from phaseflow.components.workers.pool import ExtractionPool
from phaseflow.domain.errors import DocumentError

Documents = list[tuple[str, bytes]]


def bare_pdf(data: bytes) -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    for page in document:
        page.get_textpage().get_text_range()
    document.close()


def bare_html(data: bytes) -> None:
    from selectolax.lexbor import LexborHTMLParser

    LexborHTMLParser(data.decode("utf-8", "replace")).text()


def bare_docx(data: bytes) -> None:
    import docx

    document = docx.Document(BytesIO(data))
    for part in document.iter_inner_content():
        if hasattr(part, "rows"):
            [cell.text for row in part.rows for cell in row.cells]
        else:
            _ = part.text


def bare_pptx(data: bytes) -> None:
    import pptx

    for slide in pptx.Presentation(BytesIO(data)).slides:
        [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]


def bare_xlsx(data: bytes) -> None:
    import openpyxl

    for sheet in openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True):
        [*sheet.iter_rows(values_only=True)]


IN_WORKERS = {f".{extension}" for each in FORMATS if each.is_binary or each.is_risky for extension in each.extensions}
BARE = {".pdf": bare_pdf, ".html": bare_html, ".docx": bare_docx, ".pptx": bare_pptx, ".xlsx": bare_xlsx}


def documents(folders: Iterable[str]) -> dict[str, Documents]:
    found: dict[str, Documents] = defaultdict(list)
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.suffix:
                found[path.suffix.lower()].append((path.name, path.read_bytes()))
    return found


def spent(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def alone(read: Callable[[bytes], None], many: Documents) -> None:
    for _, data in many:
        try:
            read(data)
        except ImportError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the library says of a bad file, it took its time
            del error


def here(many: Documents) -> None:
    for name, data in many:
        try:
            extract(data, name)
        except DocumentError:
            continue


async def in_workers(many: Documents, size: int) -> None:
    async def read(pool: ExtractionPool, name: str, data: bytes) -> None:
        try:
            await pool.extract(data, name)
        except DocumentError:
            return

    async with ExtractionPool(size=size) as pool, anyio.create_task_group() as tasks:
        for name, data in many:
            tasks.start_soon(read, pool, name, data)


def shown(seconds: float | None, megabytes: float) -> str:
    return "-" if seconds is None else f"{seconds:8.3f} s {megabytes / seconds:7.2f} MB/s"


def measured(suffix: str, many: Documents, rounds: int, workers: int) -> str:
    megabytes = sum(len(data) for _, data in many) / 1e6
    try:
        bare = spent(lambda: alone(BARE[suffix], many), rounds) if suffix in BARE else None
    except ImportError:
        bare = None
    own = spent(lambda: here(many), rounds)
    risky = [each for each in many if suffix in IN_WORKERS]
    pooled = spent(lambda: anyio.run(in_workers, risky, workers), rounds) if risky else None
    columns = " | ".join(f"{shown(each, megabytes):>24}" for each in (bare, own, pooled))
    return f"{suffix:7} {len(many):5} {megabytes:8.2f} MB | {columns}"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folders", nargs="+")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    words.add_argument("--only", default="", help="suffixes, as in .pdf,.html")
    chosen = words.parse_args()
    print(f"{'format':7} {'files':>5} {'':11} | {'bare':>24} | {'here':>24} | {f'{chosen.workers} workers':>24}")
    for suffix, many in sorted(documents(chosen.folders).items()):
        if not chosen.only or suffix in chosen.only.split(","):
            print(measured(suffix, many, chosen.rounds, chosen.workers))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
