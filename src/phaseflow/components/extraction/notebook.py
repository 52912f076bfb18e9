"""Jupyter notebooks: the cells as Markdown. Outputs are left out; the text that explains them is in the cells."""

import json
from collections.abc import Iterator
from typing import Any

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.markdown import MEDIA_TYPE
from phaseflow.components.extraction.markdown_headings import first_heading
from phaseflow.components.extraction.package import nothing_found
from phaseflow.components.extraction.types import Extracted, Raw
from phaseflow.domain.errors import DocumentError


def extract(raw: Raw) -> Extracted:
    """Return Markdown cells as they are and code cells fenced. Title: the first heading, else the name of the file.

    Raises DocumentError ``malformed`` when it is no notebook, ``nothing_found`` when its cells have outputs only.
    """
    text = text_of(raw)
    notebook = _parsed(text, raw.name) if text.strip() else {}
    cells = list(_blocks(notebook))
    if not cells and any(cell.get("outputs") for cell in _cells(notebook) or () if isinstance(cell, dict)):
        raise nothing_found(raw.name, "its cells have outputs only")
    body = "\n\n".join(cells).replace("\0", "").encode("utf-8", "replace").decode()
    return Extracted(body, first_heading(body) or raw.base_name, MEDIA_TYPE)


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(name) from error
    if not isinstance(notebook, dict) or _cells(notebook) is None:
        raise _malformed(name)
    return notebook


def _cells(notebook: dict[str, Any]) -> list[Any] | None:
    """Return the cells, which stood in worksheets before version 4; None when there is no list of them."""
    sheets = notebook.get("worksheets")
    if "cells" in notebook or not isinstance(sheets, list):
        cells = notebook.get("cells", [])
        return cells if isinstance(cells, list) else None
    lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
    return [cell for cells in lists if isinstance(cells, list) for cell in cells]


def _blocks(notebook: dict[str, Any]) -> Iterator[str]:
    language = _language(notebook.get("metadata"))
    for cell in _cells(notebook) or ():
        source = _source(cell)
        if not source.strip():
            continue
        if cell.get("cell_type") == "code":
            yield f"```{language}\n{source}\n```"
        elif cell.get("cell_type") == "heading":
            yield f"{'#' * _level(cell.get('level'))} {source}"
        else:
            yield source


def _level(level: object) -> int:
    return level if isinstance(level, int) and 1 <= level <= 6 else 1


def _language(metadata: object) -> str:
    info = metadata.get("language_info") if isinstance(metadata, dict) else None
    name = info.get("name") if isinstance(info, dict) else None
    return name if isinstance(name, str) and name.isalnum() else ""


def _source(cell: object) -> str:
    source = cell.get("source", cell.get("input", "")) if isinstance(cell, dict) else ""
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str)).replace("\r\n", "\n")


def _malformed(name: str) -> DocumentError:
    return DocumentError(f"{name} is not a Jupyter notebook; open and save it with Jupyter", code="malformed")
