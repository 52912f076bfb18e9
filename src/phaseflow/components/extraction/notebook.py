"""Jupyter notebooks: the cells as Markdown. Outputs are left out; the text that explains them is in the cells."""

import json
from collections.abc import Iterator
from typing import Any

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.markdown import MEDIA_TYPE, first_heading
from phaseflow.components.extraction.shapes import Extracted, Raw
from phaseflow.domain.errors import DocumentError


def extract(raw: Raw) -> Extracted:
    """Return Markdown cells as they are and code cells fenced. Title: the first heading, else the name of the file.

    Raises DocumentError ``malformed`` when it is no notebook.
    """
    text = text_of(raw)
    cells = list(_cells(_parsed(text, raw.name))) if text.strip() else []
    body = "\n\n".join(cells).replace("\0", "").encode("utf-8", "replace").decode()
    return Extracted(body, first_heading(body) or raw.base_name, MEDIA_TYPE)


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(name) from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells", []), list):
        raise _malformed(name)
    return notebook


def _cells(notebook: dict[str, Any]) -> Iterator[str]:
    language = _language(notebook.get("metadata"))
    for cell in notebook.get("cells", []):
        source = _source(cell)
        if source.strip():
            yield f"```{language}\n{source}\n```" if cell.get("cell_type") == "code" else source


def _language(metadata: object) -> str:
    info = metadata.get("language_info") if isinstance(metadata, dict) else None
    name = info.get("name") if isinstance(info, dict) else None
    return name if isinstance(name, str) and name.isalnum() else ""


def _source(cell: object) -> str:
    source = cell.get("source", "") if isinstance(cell, dict) else ""
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str)).replace("\r\n", "\n")


def _malformed(name: str) -> DocumentError:
    return DocumentError(f"{name} is not a Jupyter notebook; open and save it with Jupyter", code="malformed")
