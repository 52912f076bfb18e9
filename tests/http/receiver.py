"""A receiver of webhooks on a real socket, which checks signatures by the rules of standardwebhooks.com."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.http.service import foreign_server, until


@dataclass
class Receiver:
    """``answers``: the statuses of the next answers, then 204. ``retry_after``: what a 429 says. ``hold``: answers wait
    for it. ``secret``: checked."""

    url: str = ""
    secret: str = ""
    answers: list[int] = field(default_factory=list)
    retry_after: str | None = None
    hold: anyio.Event | None = None
    taken: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    asked: int = 0

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        status = self.answers.pop(0) if self.answers else 204
        if status == 204:
            self._verify(request, body)
            self.taken.append(json.loads(body))
            self.ids.append(request.headers["webhook-id"])
        headers = {"location": self.url} if 300 <= status < 400 else {}
        if status == 429 and self.retry_after is not None:
            headers["retry-after"] = self.retry_after
        return Response(status_code=status, headers=headers)

    def _verify(self, request: Request, body: bytes) -> None:
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        assert f"v1,{expected}" in request.headers["webhook-signature"].split(" ")

    async def has_taken(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.taken) >= count

        await until(enough, 20)

    @property
    def types(self) -> list[tuple[str, str]]:
        """(knowledge base, event) of what was taken."""
        return [(one["data"]["kb_id"], one["type"]) for one in self.taken]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/hook", receiver.receive, methods=["POST"])])
    async with foreign_server(app) as url:
        receiver.url = f"{url}/hook"
        yield receiver
