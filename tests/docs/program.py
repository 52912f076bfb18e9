"""Runs examples as ``python -m asyncio`` would: ``await`` may stand at their top level."""

import ast
import asyncio
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

END = "\0"
"""Printed after each program."""


def main(paths: Sequence[str]) -> None:
    """Run the programs in some files, one after the other, each with names of its own."""
    for path in paths:
        code = compile(Path(path).read_text(encoding="utf-8"), path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        names: dict[str, Any] = {"__name__": "__main__"}
        result = FunctionType(code, names)()
        if inspect.iscoroutine(result):
            asyncio.run(result)
        sys.stdout.write(END)


if __name__ == "__main__":
    main(sys.argv[1:])
