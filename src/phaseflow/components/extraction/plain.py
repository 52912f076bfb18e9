"""Plain text and source code: the text is the document."""

import re

from phaseflow.components.extraction.decoding import text_of
from phaseflow.components.extraction.types import Extracted, Raw

MEDIA_TYPE = "text/plain"

_CODE = """
    py pyi pyx js mjs cjs jsx ts mts cts tsx vue svelte astro java kt kts scala groovy gradle clj cljs edn c h cc cpp
    cxx hh hpp hxx m mm cs fs fsx vb go rs swift zig nim d dart lua rb erb php pl pm t r jl hs lhs elm ml mli ex exs
    erl hrl lisp el scm rkt sql sh bash zsh fish ps1 psm1 bat cmd css scss sass less yaml yml toml ini cfg conf
    properties env tf tfvars hcl proto graphql gql thrift cmake mk make dockerfile bicep asm s v sv vhd vhdl
    f f90 f95 pas ada adb ads cob tcl awk sed vim diff patch po pot srt vtt csproj fsproj sln props targets
    nix dhall rego feature bib
"""
CODE_EXTENSIONS = tuple(_CODE.split())

_CODING = re.compile(rb"coding[:=][ \t]*([-\w.]+)")


def extract_text(raw: Raw) -> Extracted:
    """Return the text as it is. Title: the name of the file."""
    return Extracted(text_of(raw), raw.base_name, MEDIA_TYPE)


def extract_code(raw: Raw) -> Extracted:
    """Return the source as it is, decoded as its first two lines declare (PEP 263, Emacs).

    Title: the name of the file.
    """
    return Extracted(text_of(raw, _coding), raw.base_name, MEDIA_TYPE)


def _coding(head: bytes) -> str | None:
    for line in head.split(b"\n", 2)[:2]:
        found = _CODING.search(line)
        if found:
            return found[1].decode("ascii", "replace")
    return None
