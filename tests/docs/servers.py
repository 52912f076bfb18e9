"""The servers in the examples: one with models (vectors and chat, in the OpenAI protocol), one with web pages."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""

    def answer(self, kind: str, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Site(_Quiet):
    """Two pages."""

    def do_GET(self) -> None:
        if self.path not in _PAGES:
            self.answer("text/plain", b"", 404)
        else:
            self.answer("text/html", _PAGES[self.path].encode())


_PAGES = {
    "/": "<title>Home</title><h1>Home</h1><p>All about <a href='/teams'>our teams</a>.</p>",
    "/teams": "<title>Teams</title><h1>Teams</h1><p>The teams and what they do.</p>",
}


class _Models(_Quiet):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = _vectors(asked) if self.path.endswith("/embeddings") else _chat(asked)
        self.answer("application/json", json.dumps(answer).encode())


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
def _serving(handler: type[_Quiet]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
