"""Text recognition: pictures that are made here, and a scan, in processes that can open no socket."""

import ctypes
import io
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from phaseflow import PhaseFlow
from phaseflow.components.extraction.reading_order import Box, as_text
from phaseflow.components.workers.process import Limits
from phaseflow.components.workers.recognition import PageProgress, Recognition
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.ocr import LANGUAGES
from tests.matrices import first_of_each
from tests.stopwatch import fail_soon

if TYPE_CHECKING:
    from PIL import Image  # imported late: it takes long, and each process of the tests reads this module

BUDGET = "The quarterly budget of 2024"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, since the processes below belong to it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def recognition(anyio_backend: str) -> AsyncIterator[Recognition]:
    """One process for all tests that only read: loading the models takes a second each time."""
    opened = Recognition(1)
    yield opened
    await opened.aclose()
    assert opened.pids == []


def drawn(*lines: str, turned: int = 0) -> "Image.Image":
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (800, 60 + 60 * len(lines)), "white")
    for number, text in enumerate(lines):
        ImageDraw.Draw(image).text((30, 30 + 60 * number), text, fill="black", font=ImageFont.load_default(36))
    return image.rotate(turned, expand=True)


def empty(mode: str, size: tuple[int, int], colour: str | int = 0) -> "Image.Image":
    from PIL import Image

    return Image.new(mode, size, colour)


def as_file(image: "Image.Image", kind: str, *more: "Image.Image") -> bytes:
    file = io.BytesIO()
    if more:
        image.save(file, kind, save_all=True, append_images=more)
    else:
        image.save(file, kind)
    return file.getvalue()


def mixed_pdf() -> bytes:
    """A page with text, one that is a picture of some, and one with text again."""
    import pypdfium2 as pdfium
    from pypdfium2 import raw

    document = pdfium.PdfDocument.new()
    for text in ("The first page has text", None, "So has the third page"):
        page = document.new_page(500, 200)
        if text is None:
            picture = pdfium.PdfImage.new(document)
            picture.set_bitmap(pdfium.PdfBitmap.from_pil(drawn(BUDGET)))
            picture.set_matrix(pdfium.PdfMatrix().scale(450, 70).translate(20, 80))
            page.insert_obj(picture)
        else:
            words = raw.FPDFPageObj_NewTextObj(document, b"Helvetica", 20.0)
            encoded = (text + "\0").encode("utf-16-le")
            raw.FPDFText_SetText(words, _wide(encoded))
            raw.FPDFPageObj_Transform(words, 1, 0, 0, 1, 40, 100)
            raw.FPDFPage_InsertObject(page, words)
        page.gen_content()
    file = io.BytesIO()
    document.save(file)
    document.close()
    return file.getvalue()


def _wide(encoded: bytes) -> Any:
    return ctypes.cast(ctypes.create_string_buffer(encoded), ctypes.POINTER(ctypes.c_ushort))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_the_languages_are_those_of_the_models_in_the_wheel() -> None:
    from rapidocr.utils.model_resolver import list_supported_langs
    from rapidocr.utils.typings import ModelType, OCRVersion, TaskType

    there = set(list_supported_langs(TaskType.REC, OCRVersion.PPOCRV6, ModelType.SMALL))
    named_otherwise = {"zh": "ch", "ja": "japan"}
    assert {named_otherwise.get(each, each) for each in LANGUAGES} <= there


@pytest.mark.parametrize("kind", first_of_each(["PNG", "JPEG", "TIFF"]))
async def test_the_text_of_a_picture_is_read_by_a_confined_process(recognition: Recognition, kind: str) -> None:
    progress = PageProgress()
    pages = (drawn(BUDGET), drawn("Second page")) if kind == "TIFF" else (drawn(BUDGET),)
    found = await recognition.text(as_file(pages[0], kind, *pages[1:]), "a.picture", progress)
    expected = [*words(BUDGET), "Second", "page"] if kind == "TIFF" else words(BUDGET)
    assert words(found.text) == expected
    assert (found.metadata["ocr"], found.metadata["pages_by_ocr"]) == (True, len(pages))
    assert [label for _, label in found.parts] == (["page 1", "page 2"] if kind == "TIFF" else [])
    assert progress.words() is None
    assert len(recognition.pids) == 1


@pytest.mark.thorough
async def test_a_page_on_its_side_or_on_its_head_is_turned(recognition: Recognition) -> None:
    for turned in (90, 180):
        found = await recognition.text(as_file(drawn(BUDGET, turned=turned), "PNG"), "a.png", PageProgress())
        assert words(found.text) == words(BUDGET)


async def test_only_pages_without_a_text_layer_are_recognised_and_keep_their_place(recognition: Recognition) -> None:
    seen = []

    class Noted(PageProgress):
        def begin(self, name: str, page: int, pages: int) -> None:
            seen.append((name, page, pages))

    found = await recognition.text(mixed_pdf(), "mixed.pdf", Noted())
    assert words(found.text) == words(f"The first page has text {BUDGET} So has the third page")
    assert [label for _, label in found.parts] == ["page 1", "page 2", "page 3"]
    assert found.metadata["pages_by_ocr"] == 1
    assert seen == [("mixed.pdf", 1, 1)]


@pytest.mark.parametrize(
    ("made", "code"),
    first_of_each(
        [
            (lambda: as_file(empty("RGB", (200, 200), "white"), "PNG"), "no_text_layer"),
            (lambda: as_file(drawn(BUDGET), "PNG")[:2000], "malformed"),
            (lambda: b"\x89PNG\r\n\x1a\n" + b"x" * 100, "malformed"),
            (lambda: as_file(empty("1", (20_000, 5_001)), "PNG"), "too_large"),
        ],
        lambda case: case[0],
        ids=["empty", "cut off", "rubbish", "bomb"],
    ),
)
async def test_a_picture_without_text_or_damaged_is_told(
    recognition: Recognition, made: Callable[[], bytes], code: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        await recognition.text(made(), "a.png", PageProgress())
    assert caught.value.code == code


@pytest.mark.thorough
async def test_a_page_has_its_time() -> None:
    recognition = Recognition(1, Limits(time_s=0.2, memory_bytes=3 << 30))
    with pytest.raises(DocumentError) as caught:
        await recognition.text(as_file(drawn(*[BUDGET] * 30), "PNG"), "a.png", PageProgress())
    assert caught.value.code == "extraction_timeout"
    await recognition.aclose()


@pytest.mark.thorough
@pytest.mark.longest(600)
async def test_a_scan_is_read_from_end_to_end(corpora: Path) -> None:
    data = (corpora / "formats/files/scanned-medical-report-no-text-layer.pdf").read_bytes()
    recognition = Recognition(2)
    found = await recognition.text(data, "scan.pdf", PageProgress())
    assert found.metadata["pages_by_ocr"] == 3
    for text in ("COMPREHENSIVE MEDICAL REPORT", "Total Cholesterol 215 mg/dL", "No known drug allergies"):
        assert text in found.text
    await recognition.aclose()


@pytest.mark.thorough
async def test_another_setting_reads_the_affected_documents_anew_and_only_these(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# A text\n\nIt has nothing to do with pictures.")
    (folder / "mixed.pdf").write_bytes(mixed_pdf())
    (folder / "budget.png").write_bytes(as_file(drawn(BUDGET), "PNG"))
    for file in folder.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000))
    async with PhaseFlow(tmp_path / "kb.db") as flow:

        async def run(ocr: list[str] | None) -> tuple[int, int, int]:
            settings = {"ocr": {"languages": ocr} if ocr else None}
            final = await (await flow.start("kb", folder, settings=settings)).wait()
            assert final.status == "completed"
            counts = final.metrics
            return counts.documents_loaded, counts.documents_unchanged, counts.documents_failed

        assert await run(None) == (2, 0, 1)
        assert (await flow.document("kb", "mixed.pdf")).metadata["pages_without_text"] == 1
        assert BUDGET not in await flow.document_text("kb", "mixed.pdf")
        assert await run(None) == (0, 2, 1)
        assert await run(["en"]) == (2, 1, 0)
        assert words(BUDGET)[-1] in await flow.document_text("kb", "mixed.pdf")
        assert (await flow.document("kb", "budget.png")).metadata["ocr"] is True
        assert await run(["en"]) == (0, 3, 0)
        assert await run(["en", "de"]) == (2, 1, 0)


@pytest.mark.thorough
async def test_the_status_says_which_page_is_read(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    pages = [drawn(*[BUDGET] * 3) for _ in range(2)]
    (tmp_path / "docs" / "scan.tiff").write_bytes(as_file(pages[0], "TIFF", *pages[1:]))
    said = set()
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        job = await flow.start("kb", tmp_path / "docs", settings={"ocr": {"languages": ["en"]}})
        with fail_soon(60):
            async for status in job.watch():
                said |= set(re.findall(r"recognising the text of scan\.tiff, page \d of 2", status.message))
                if status.status == "completed":
                    break
    assert said


def test_columns_come_one_after_the_other_and_rows_of_a_table_together() -> None:
    left = [Box(0, 100 + 20 * n, 300 + n, 115 + 20 * n, f"left {n}") for n in range(6)]
    right = [Box(340, 100 + 20 * n, 640, 115 + 20 * n, f"right {n}") for n in range(6)]
    title = Box(100, 10, 560, 30, "Title")
    text = as_text([title, *right, *left], 640)
    assert text.split("\n\n")[0] == "Title"
    assert text.index("left 5") < text.index("right 0")
    cells = [
        Box(200 * column, 20 * row, 200 * column + 60, 20 * row + 15, f"{row}{column}")
        for row in range(6)
        for column in range(3)
    ]
    assert as_text(cells, 640).split("\n")[2] == "20 21 22"
