"""The endpoint that sends a copy of the database, from the disk to the socket, never in memory as a whole."""

from functools import partial
from typing import Annotated

import anyio
import anyio.to_thread
from pydantic import Field
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from phaseflow.background_task import only_error
from phaseflow.domain.errors import Busy, StoreUnavailable
from phaseflow.http.app_state import AppState
from phaseflow.http.endpoint import Endpoint, Parameters, RequestContext
from phaseflow.http.problems import LocalOnly, NotReady

DATABASE = "application/vnd.sqlite3"
_PIECE = 256 * 1024


class _CopyOfDatabase(Response):
    """The copy is made when this is sent, and gone when it has been taken, when the client has left, or when the
    service stops. A client that takes nothing for as long as the limits say is dropped."""

    def __init__(self, state: AppState, *, check: bool) -> None:
        self._state = state
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make it, then send it, while a task watches for the client to leave."""
        has_begun = False

        async def leave() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        async def send_all() -> None:
            nonlocal has_begun
            async with self._state.flow.copied(check=self._check) as (file, size):
                headers = [(b"content-type", DATABASE.encode()), (b"content-length", b"%d" % size)]
                has_begun = True
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                while piece := await anyio.to_thread.run_sync(partial(file.read, _PIECE)):
                    # A time for each piece, not for all: a large copy may take as long as it likes while it is taken.
                    with anyio.move_on_after(self._state.limits.answer_idle_s) as patience:
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    if patience.cancelled_caught:
                        return
            await send({"type": "http.response.body", "body": b""})

        with self._state.seats.receiving() as until_stopped, until_stopped:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(leave)
                    await send_all()
                    tasks.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                raise only_error(group) from group
        if until_stopped.cancelled_caught and not has_begun:
            raise NotReady("the service is stopping; ask again when it is back")


class _BackupAsked(Parameters):
    """How the copy is made."""

    check: Annotated[
        bool, Field(description="Whether the copy is checked first: 503 `not_a_database` when it is damaged.")
    ] = True


async def _backup(call: RequestContext[_BackupAsked, None]) -> Response:
    call.state.access.check_trusted(call.request.scope.get("client"))
    return _CopyOfDatabase(call.state, check=call.at.check)


ENDPOINTS = [
    Endpoint(
        "POST", "/api/ingestion/backup", "A copy of the database as it is now, with all that was pushed", _backup,
        {200: DATABASE}, _BackupAsked, problems=(LocalOnly, Busy, StoreUnavailable, NotReady),
    )
]  # fmt: skip
