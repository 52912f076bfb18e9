"""A folder of documents that change: edited, added, deleted, renamed; a few of them very large."""

import random
from pathlib import Path

from tests.engine.components import write_folder

MOST_DOCUMENTS = 80
LARGE = 100_000
"""Characters; documents above are not copied."""
DEEDS = ("change", "change", "add", "add", "delete", "delete", "rename", "rename", "grow")


class Shelf:
    """The folder. ``change`` does a few random deeds to it."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder = write_folder(folder, 40, words=40)
        self._dice = dice
        self._written = 0

    def change(self) -> None:
        """Between no deed and eight."""
        for _ in range(self._dice.choice((0, 1, 3, 8))):
            paths = sorted(self.folder.iterdir())
            self._written += 1
            self._do(self._dice.choice(DEEDS), self._dice.choice(paths), len(paths))

    def _do(self, deed: str, path: Path, number: int) -> None:
        if deed == "change":
            path.write_text(f"# Changed {self._written}\n\n" + " ".join(f"new{self._written}x{n}" for n in range(60)))
        elif deed == "add" and number < MOST_DOCUMENTS and path.stat().st_size < LARGE:
            (self.folder / f"new{self._written:05}.md").write_text(f"{path.read_text()}\n\nadded {self._written}")
        elif deed == "delete" and number > MOST_DOCUMENTS // 4:
            path.unlink()
        elif deed == "rename":
            path.rename(self.folder / f"ren{self._written:05}.md")
        elif deed == "grow" and self._dice.random() < 0.3 and not self._has_large():
            path.write_text(self._large_text(self._dice.randrange(1_000_000, 3_000_000)))

    def _has_large(self) -> bool:
        return any(path.stat().st_size >= LARGE for path in self.folder.iterdir())

    def _large_text(self, size: int) -> str:
        """Thousands of passages with a hundred different texts: much to store, little to pay for."""
        paragraphs = [" ".join(f"large{self._written}x{n}x{m}" for m in range(10)) for n in range(100)]
        page = "\n\n".join(paragraphs) + "\n\n"
        return page * (size // len(page))
