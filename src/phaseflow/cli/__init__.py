"""The command line: it parses, calls the public API, and shows what comes back."""

from phaseflow.cli.program import main

__all__ = ["main"]
