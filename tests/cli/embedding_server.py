"""An embedding server on loopback that counts what it is asked, and answers only while its gate is open."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_DIMENSION = 8
_LONGEST_WAIT_S = 60


class EmbeddingServer:
    """Speaks the OpenAI embeddings protocol. ``texts`` are all it was asked for, in order of arrival."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.gate = threading.Event()
        self.asked = threading.Event()
        self.room: int | None = None
        """How many more calls are answered; every other one is asked to come back in two hours. None: all."""
        self._counting = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def options(self) -> list[str]:
        """The options that make a command use this server."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        return ["--embedder", "openai", "--embedding-url", url, "--embedding-model", "counting"]

    def is_full(self) -> bool:
        """Take up the room of one call, if there is any."""
        with self._counting:
            if self.room is not None:
                self.room -= 1
            return self.room is not None and self.room < 0

    def answer(self, texts: list[str]) -> dict[str, Any]:
        """Vectors that follow from the texts alone, once the gate is open."""
        self.texts.extend(texts)
        self.asked.set()
        assert self.gate.wait(_LONGEST_WAIT_S), "nobody opened it"
        data = [{"object": "embedding", "index": i, "embedding": _vector(text)} for i, text in enumerate(texts)]
        return {"object": "list", "data": data, "model": "counting", "usage": {"prompt_tokens": 0, "total_tokens": 0}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
                if server.is_full():
                    self.send_response(429)
                    self.send_header("Retry-After", "7200")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = json.dumps(server.answer([asked] if isinstance(asked, str) else asked)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the tests read stderr."""

        return Handler


def _vector(text: str) -> list[float]:
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 255 - 0.5 for byte in digest[:_DIMENSION]]
