"""What is known of the documents of the shared test data, and what phaseflow reads: a table.

``PHASEFLOW_CORPORA=… python -m tests.components.formats_table`` prints it, and ends with 1 where they differ.
"""

import json
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from phaseflow.components.protocols import Document, Entry
from phaseflow.components.sources import FolderLoader
from phaseflow.domain.errors import DocumentError
from phaseflow.domain.settings import FolderSource


@dataclass(frozen=True, slots=True)
class Row:
    """One document. ``faults`` is empty when all that is expected holds."""

    file: str
    expected: str
    got: str
    faults: tuple[str, ...]


async def rows(root: Path) -> list[Row]:
    """Read every document of ``root`` that something is known of, as a folder source does."""
    known = [json.loads(line) for line in (root / "expected.jsonl").read_text("utf-8").splitlines()]
    loader = FolderLoader(FolderSource(str(root)))
    try:
        return [await _row(loader, each) for each in known]
    finally:
        await loader.aclose()


async def _row(loader: FolderLoader, known: Mapping[str, Any]) -> Row:
    try:
        document = await loader.load(Entry(known["file"]), None)
    except DocumentError as error:
        return Row(known["file"], _expected(known), error.code, _faults_of_refusal(known, error))
    assert isinstance(document, Document)
    text = squeezed(document.text)
    parts = f", {len(document.parts)} parts" if document.parts else ""
    return Row(known["file"], _expected(known), f"{len(text):,} characters{parts}", _faults_of_text(known, text))


def _expected(known: Mapping[str, Any]) -> str:
    if known.get("must_fail"):
        return "failure"
    if known.get("must_be_empty"):
        return "nothing"
    snippets = len(known.get("must_contain", ()))
    return f"{known['tier']}: {snippets} snippets" + (" or refusal" if _may_fail(known) else "")


def _may_fail(known: Mapping[str, Any]) -> bool:
    return bool(known.get("may_fail")) or known["tier"] == "extended"


def _faults_of_refusal(known: Mapping[str, Any], error: DocumentError) -> tuple[str, ...]:
    allowed = known.get("must_fail") or (_may_fail(known) and error.code == "unsupported_format")
    return () if allowed else (str(error),)


def _faults_of_text(known: Mapping[str, Any], text: str) -> tuple[str, ...]:
    if known.get("must_fail"):
        return ("did not fail",)
    if known.get("must_be_empty"):
        return ("has text",) if text else ()
    missing = [f"lacks {each!r}" for each in known.get("must_contain", ()) if squeezed(each) not in text]
    present = [f"has {each!r}" for each in known.get("must_not_contain", ()) if squeezed(each) in text]
    return (*missing, *present)


def squeezed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def main() -> int:
    table = anyio.run(rows, Path(os.environ["PHASEFLOW_CORPORA"], "formats"))
    print("| file | expected | got | |\n| --- | --- | --- | --- |")
    for row in table:
        print(
            f"| {row.file.removeprefix('files/')} | {row.expected} | {row.got} | {'; '.join(row.faults) or 'holds'} |"
        )
    print(f"\n{sum(not row.faults for row in table)} of {len(table)} hold")
    return int(any(row.faults for row in table))


if __name__ == "__main__":
    raise SystemExit(main())
