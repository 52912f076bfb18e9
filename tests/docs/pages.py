"""The pages of the documentation, and the blocks of code that stand in them."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
ANY = "…"
"""Stands in shown output for what differs from run to run, and alone on a line for any number of lines."""

_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<beyond>[^\n]+) -->\n)?^(?P<fence>```+)(?P<language>\S*)\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``shown`` is the block of plain text right after a program: what it prints. ``beyond`` is what a
    test does not have that it needs, as the comment right before it says."""

    language: str
    code: str
    line: int
    shown: str | None = None
    beyond: str | None = None


def text_of(name: str) -> str:
    """A page of ``docs`` by the name of its file."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("fence")) + 1
        block = Block(match["language"], match["code"], line, beyond=match["beyond"])
        follows = found and found[-1].language == "python" and not text[end : match.start()].strip()
        if block.language == "text" and follows:
            before = found.pop()
            block = replace(before, shown=block.code)
        found.append(block)
        end = match.end()
    return found


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _BLOCK.sub("", text)


def heading_anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", prose(text), flags=re.MULTILINE)
    seen: dict[str, int] = {}
    anchors = set()
    for title in titles:
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower()).replace(" ", "-")
        number = seen.get(name, -1) + 1
        seen[name] = number
        anchors.add(f"{name}-{number}" if number else name)
    return anchors


def output_pattern(shown: str) -> re.Pattern[str]:
    """What an output has to match to be the one that a page shows. Runs of blanks count as one."""
    lines = [r"(?:.*\n)*" if line.strip() == ANY else _line_pattern(line) + r"\n" for line in shown.splitlines()]
    return re.compile("".join(lines))


def _line_pattern(line: str) -> str:
    parts = [r"\s+".join(map(re.escape, part.split())) if part.strip() else "" for part in line.split(ANY)]
    return r"[^\n]*".join(parts)


def squeezed(output: str) -> str:
    """An output as ``output_pattern`` takes it: one blank for a run of them, none at the ends of lines."""
    return "".join(" ".join(line.split()) + "\n" for line in output.splitlines())
