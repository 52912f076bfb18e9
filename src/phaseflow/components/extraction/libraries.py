"""Libraries that one format needs and the others do not."""

import importlib
from typing import Any

from phaseflow.domain.errors import DocumentError, MissingExtra

_EXTRAS = {
    "pypdfium2": "pdf", "python_calamine": "sheets", "rapidocr": "ocr", "PIL.Image": "ocr", "PIL.ImageOps": "ocr"
}  # fmt: skip
"""The extra that brings each library. The default installation has them; a distribution may leave them out."""


def library(module: str, what: str) -> Any:
    """Import a module. Raises DocumentError ``missing_extra``, which names the extra and is no part of the budget."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in {module, module.partition(".")[0]}:
            raise
        message = str(MissingExtra(f"reading {what}", _EXTRAS[module]))
        raise DocumentError(message, code=MissingExtra.code, counts=False) from error
