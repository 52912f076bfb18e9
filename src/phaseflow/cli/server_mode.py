"""The verbs through a running service."""

import importlib
from typing import TYPE_CHECKING, NoReturn

from phaseflow.cli import messages
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.terminal import answer, say
from phaseflow.domain.vocabulary import Action, JobPhase

if TYPE_CHECKING:
    from phaseflow.domain.status import JobStatusResponse


def through_server(
    url: str, token: str | None, verb: Action, kb_id: str, phase: JobPhase | None, as_json: bool
) -> NoReturn:
    """Send a verb to the service at ``url``, show the status it answers, and leave."""

    async def send() -> Exit:
        client = importlib.import_module("phaseflow.client")
        async with client.Client(url, token=token) as service:
            act = getattr(service, verb)
            return show(await (act(kb_id) if phase is None else act(kb_id, phase)), as_json)

    run(send)


def show(status: "JobStatusResponse", as_json: bool) -> Exit:
    """Show the answer to a verb. It was obeyed, whatever the status is."""
    if as_json:
        answer(status)
    else:
        asked = f" ({status.requested} asked for)" if status.requested else ""
        say(f"{messages.headline(status)} [{status.status}{asked}]")
    return Exit.COMPLETED
