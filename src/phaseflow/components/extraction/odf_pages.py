"""What stands on every page of an OpenDocument text."""

from phaseflow.components.extraction.markdown_writer import Draft
from phaseflow.components.extraction.odf_content import Content
from phaseflow.components.extraction.odf_styles import Styles

HEADS = frozenset(("header", "footer", "header-first", "footer-first", "header-left", "footer-left"))


class OfPages:
    """Takes the events of ``styles.xml``, and hands the styles on to ``styles``, which stand before the pages.

    What stands at the head and foot of every page is said once, at the end.
    """

    def __init__(self, draft: Draft, styles: Styles) -> None:
        self._draft = draft
        self._styles = styles
        self._content: Content | None = None
        self._apart = Draft(draft.name)
        self._said: dict[str, None] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._content is not None:
            self._content.start(name, attributes)
        elif name not in HEADS:
            self._styles.start(name, attributes)
        elif attributes.get("display") != "false":
            self._apart = Draft(self._draft.name)
            self._content = Content(self._apart, self._styles, lambda place: "")

    def end(self, name: str) -> None:
        if self._content is not None and name in HEADS:
            self._said.setdefault("".join(self._apart.pieces))
            self._content = None
        elif self._content is not None:
            self._content.end(name)

    def data(self, text: str) -> None:
        if self._content is not None:
            self._content.data(text)

    def finish(self) -> None:
        for text in self._said:
            self._draft.put(text)
