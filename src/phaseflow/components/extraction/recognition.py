"""Text recognition (OCR): pages of PDFs that have no text layer, and pictures, by the models in the wheel of rapidocr.

Runs in a worker process of its own, one page a request: the service sees how far it is, and gives each page its time.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from phaseflow.components.extraction import pdf
from phaseflow.components.extraction.libraries import library
from phaseflow.components.extraction.markdown_writer import Draft
from phaseflow.components.extraction.pictures import SIGNATURES, is_picture
from phaseflow.components.extraction.plain import MEDIA_TYPE
from phaseflow.components.extraction.reading_order import Box, as_text
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.counting import counted
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.vocabulary import OCR, PAGES_BY_OCR, PAGES_WITHOUT_TEXT

_DPI = 200
_LONGEST_SIDE = 4000
"""Pixels; what is larger is made smaller before it is looked at."""
_MOST_PIXELS = 100_000_000
_MOST_PAGES = 500
"""Of one document whose text is recognised: a page takes seconds."""
_LEAST_SCORE = 0.5
_DOUBT = 0.8
"""Lines that are less sure than this on the mean may be upside down."""


def answer(data: bytes, name: str, asked: Mapping[str, Any]) -> Extracted:
    """Answer one request: ``pages`` names the pages to be recognised, ``page`` has one recognised, ``whole`` gives the
    document with ``texts`` of its pages. Raises DocumentError."""
    raw = Raw(data, name)
    match asked["step"]:
        case "pages":
            return Extracted(json.dumps(_pages(raw)), name, MEDIA_TYPE)
        case "page":
            return Extracted(_recognised(raw, int(asked["page"])), name, MEDIA_TYPE)
        case _:
            return _whole(raw, {int(page): str(text) for page, text in asked["texts"].items()})


def _pages(raw: Raw) -> list[int]:
    found = list(range(_frames(raw))) if is_picture(raw.data) else pdf.pages_without_text(raw)
    if len(found) > _MOST_PAGES:
        message = (
            f"{raw.name} has {counted(len(found), 'page')} without text, more than the {_MOST_PAGES} that are"
            " recognised; split it or exclude it"
        )
        raise DocumentError(message, code="too_large")
    return found


def _recognised(raw: Raw, page: int) -> str:
    import numpy as np

    with _image(raw, page) as image:
        best = _lines(image)
        if best.is_doubtful:  # it may lie on its side, or on its head
            best = max(best, *(_lines(np.ascontiguousarray(np.rot90(image, turns))) for turns in (2, 1, 3)))
    return as_text(best.boxes, best.width)


@dataclass(frozen=True, slots=True, order=True)
class _Lines:
    """What was found on a page, the way it was held. ``weight``: letters, each as sure as its line."""

    weight: float
    letters: int
    width: int = field(compare=False)
    boxes: Sequence[Box] = field(compare=False)

    @property
    def is_doubtful(self) -> bool:
        return self.weight < _DOUBT * max(self.letters, 1)


def _lines(image: Any) -> _Lines:
    found = _engine()(image, use_cls=False)
    if found.boxes is None or not found.txts:
        return _Lines(0, 0, image.shape[1], ())
    kept = [
        (Box(box[:, 0].min(), box[:, 1].min(), box[:, 0].max(), box[:, 1].max(), text), score)
        for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
        if score >= _LEAST_SCORE and text.strip()
    ]
    letters = sum(len(box.text) for box, _ in kept)
    weight = sum(score * len(box.text) for box, score in kept)
    return _Lines(weight, letters, image.shape[1], [box for box, _ in kept])


def _whole(raw: Raw, texts: Mapping[int, str]) -> Extracted:
    if not any(text.strip() for text in texts.values()):
        message = f"{raw.name} holds pictures, and no text was recognised in them; exclude it"
        raise DocumentError(message, code="no_text_layer", counts=False)
    if not is_picture(raw.data):
        return replace(pdf.extract(raw, texts), read_as="application/pdf")
    draft = Draft(raw.name)
    for page, text in texts.items():
        if len(texts) > 1:
            draft.part(f"page {page + 1}")
        draft.put(text)
    found = draft.finish(raw.base_name, MEDIA_TYPE, {OCR: True, PAGES_BY_OCR: len(texts)})
    return replace(found, read_as=next(kind for start, kind in SIGNATURES.items() if raw.data.startswith(start)))


@cache
def _engine() -> Any:
    rapidocr = library("rapidocr", "text in pictures")
    # One thread: as many workers as there are cores. No log: it names paths.
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Det.limit_type": "max",  # small pictures are not made larger, which takes many times as long
            "Det.limit_side_len": 2000,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


@contextmanager
def _image(raw: Raw, page: int) -> Iterator[Any]:
    if is_picture(raw.data):
        yield _picture(raw, page)
        return
    with pdf.opened(raw) as document:
        sheet = document[page]
        longest = max(sheet.get_size())
        scale = min(_DPI / 72, _LONGEST_SIDE / max(longest, 1))
        bitmap = sheet.render(scale=scale, rev_byteorder=False)
        try:
            yield bitmap.to_numpy()[:, :, :3].copy()
        finally:
            bitmap.close()
            sheet.close()


def _opened_picture(raw: Raw) -> Any:
    image_library = library("PIL.Image", "pictures")
    image_library.MAX_IMAGE_PIXELS = None  # its own check warns; ours refuses
    try:
        image = image_library.open(io.BytesIO(raw.data), formats=("PNG", "JPEG", "TIFF"))
    except (OSError, ValueError, SyntaxError) as error:
        raise _damaged(raw) from error
    if image.width * image.height > _MOST_PIXELS:
        message = (
            f"{raw.name} has {image.width:,} x {image.height:,} pixels, more than the {_MOST_PIXELS:,} that are looked"
            " at; make it smaller"
        )
        raise DocumentError(message, code="too_large")
    return image


def _frames(raw: Raw) -> int:
    with _opened_picture(raw) as image:
        try:
            return int(getattr(image, "n_frames", 1))
        except (OSError, ValueError, SyntaxError) as error:
            raise _damaged(raw) from error


def _picture(raw: Raw, frame: int) -> Any:
    import numpy as np

    operations = library("PIL.ImageOps", "pictures")
    with _opened_picture(raw) as image:
        try:
            if frame:
                image.seek(frame)
            if image.width * image.height > _MOST_PIXELS:
                raise DocumentError(f"{raw.name} has a page of too many pixels; make it smaller", code="too_large")
            image.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))
            shown = operations.exif_transpose(image)
            flat = shown.convert("RGBA") if "transparency" in shown.info or shown.mode in {"RGBA", "LA"} else shown
            if flat.mode == "RGBA":  # what shines through is paper
                paper = library("PIL.Image", "pictures").new("RGBA", flat.size, "white")
                paper.alpha_composite(flat)
                flat = paper
            if flat.mode.startswith("I;16") or flat.mode in {"I", "F"}:
                flat = flat.point(lambda value: value / 256).convert("L")
            flat = flat.convert("RGB")
            flat.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise _damaged(raw) from error
        return np.ascontiguousarray(np.asarray(flat)[:, :, ::-1])


def _damaged(raw: Raw) -> DocumentError:
    return DocumentError(f"{raw.name} is damaged or no picture; save it again, or exclude it", code="malformed")


__all__ = ["OCR", "PAGES_BY_OCR", "PAGES_WITHOUT_TEXT", "answer"]
