"""The servers in the examples: one with models (vectors and chat, in the OpenAI protocol), one with web pages."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from typing import Any

from tests.answering import Answers, answering, port_of


class _Site(Answers):
    """Two pages."""

    def respond(self) -> None:
        if self.path not in _PAGES:
            self.answer(404)
        else:
            self.answer(200, {"Content-Type": "text/html"}, _PAGES[self.path].encode())


_PAGES = {
    "/": "<title>Home</title><h1>Home</h1><p>All about <a href='/teams'>our teams</a>.</p>",
    "/teams": "<title>Teams</title><h1>Teams</h1><p>The teams and what they do.</p>",
}


class _Models(Answers):
    def respond(self) -> None:
        asked = json.loads(self.read())
        answer = _vectors(asked) if self.path.endswith("/embeddings") else _chat(asked)
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())


def _vectors(asked: dict[str, Any]) -> dict[str, Any]:
    return {"data": [{"index": n, "embedding": _vector(text)} for n, text in enumerate(asked["input"])]}


def _vector(text: str) -> list[float]:
    return [byte / 128 - 1 for byte in blake2b(text.encode(), digest_size=16).digest()]


def _chat(asked: dict[str, Any]) -> dict[str, Any]:
    """Repeats the first passage that it was given."""
    passages = asked["messages"][-1]["content"]
    return {"choices": [{"message": {"role": "assistant", "content": f"I was given {passages.count('[')} passages."}}]}


def model_server() -> AbstractContextManager[int]:
    """A server of models for the length of a block; its port."""
    return _serving(_Models)


def web_site() -> AbstractContextManager[int]:
    """A site of two pages for the length of a block; its port."""
    return _serving(_Site)


@contextmanager
def _serving(handler: type[Answers]) -> Iterator[int]:
    with answering(handler) as url:
        yield port_of(url)
