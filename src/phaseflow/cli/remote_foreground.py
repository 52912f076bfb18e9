"""A job of a service in the foreground: shown live, paused there by Ctrl-C, summed up at its end."""

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from phaseflow.cli import messages
from phaseflow.cli.exit_codes import Exit
from phaseflow.cli.next_command import next_command
from phaseflow.cli.place import Place
from phaseflow.cli.terminal import answer_text, say, say_lines
from phaseflow.domain.errors import JobConflict, JobNotFound, KnowledgeBaseNotFound, PhaseflowError
from phaseflow.domain.vocabulary import JobStatus

if TYPE_CHECKING:
    import anyio

    from phaseflow.cli.interrupts import Interrupts
    from phaseflow.cli.output import Screen
    from phaseflow.client import Client
    from phaseflow.domain.status import JobStatusResponse

_FOLLOWING_S = 3.0
"""How long the next job for what waits may take to be made."""
PAUSE_S = 8.0
"""How long a pause may take to reach the service, and the batch in hand to end there."""


@dataclass(frozen=True, slots=True)
class RemoteForeground:
    """How a job of a service is followed. ``repeatable``: the same command goes on with it after a pause."""

    place: Place
    kb_id: str
    as_json: bool
    repeatable: bool = True

    async def run(
        self,
        begin: "Callable[[Client], Awaitable[Exit]]",
        missed: "Callable[[Client, JobStatusResponse], Awaitable[bool]] | None" = None,
        *,
        alone: Callable[[], "dict[str, Any] | None"] = lambda: None,
    ) -> Exit:
        """Begin or go on with a job, then follow the newest one and those after it for what waits.

        The exit code is that of the last, or that of ``begin`` where all went well but for what it met; 3 at once where
        ``begin`` says so: it has asked, and begun nothing. Nothing is followed where ``alone`` tells then what the
        command has done without a job: programs are shown that, and no older job. It is 1 where
        ``missed`` says that the last went without what the command named. A signal
        pauses the job of the service, which is durable there; so does one that comes while ``begin`` is at work.
        """
        from phaseflow.cli.interrupts import Interrupts
        from phaseflow.cli.output import screen_for

        with Interrupts() as interrupts:
            async with self.place.client() as client:
                begun = await self._begin(client, begin, interrupts)
                if begun is Exit.PAUSED:
                    return begun
                if begun is not None and (done := alone()) is not None:
                    if self.as_json:
                        answer_text(json.dumps(done))
                    return begun
                with screen_for(self.as_json) as screen:
                    final = None if begun is None else await self._follow_all(client, screen, interrupts)
                if final is None:
                    return await self._pause(client)
                await self._sum_up(client, final)
                if missed is not None and await missed(client, final):
                    begun = Exit.FAILED
                return Exit.of(final.status) or begun or Exit.COMPLETED

    async def settled(self, client: "Client", *, shows: bool = False) -> "JobStatusResponse":
        """The status of the newest job, once it and those that follow for what waits are over, or paused."""
        from phaseflow.cli.output import Silence, screen_for

        with screen_for(self.as_json) if shows else Silence() as screen:
            final = await self._follow_all(client, screen, None)
        assert final is not None  # no signal is looked for
        return final

    async def _begin(
        self, client: "Client", begin: "Callable[[Client], Awaitable[Exit]]", interrupts: "Interrupts"
    ) -> Exit | None:
        """What ``begin`` says; None after a signal."""
        import anyio

        code = None
        async with anyio.create_task_group() as tasks:

            async def leave() -> None:
                await interrupts.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(leave)
            code = await begin(client)
            tasks.cancel_scope.cancel()
        return None if interrupts.asked else code

    async def _follow_all(
        self, client: "Client", screen: "Screen", interrupts: "Interrupts | None"
    ) -> "JobStatusResponse | None":
        """Show the newest job and those that follow; None when a signal has come first."""
        while True:
            final = await self._follow(client, screen, interrupts)
            if final is None or not final.status.is_terminal:
                return final
            if not await self._has_following(client, final.job_id):
                return final

    async def _follow(
        self, client: "Client", screen: "Screen", interrupts: "Interrupts | None"
    ) -> "JobStatusResponse | None":
        import anyio

        final = None
        async with anyio.create_task_group() as tasks:
            if interrupts is not None:
                tasks.start_soon(_leave_when_asked, interrupts, tasks.cancel_scope)
            async with aclosing(client.watch(self.kb_id)) as statuses:  # type: ignore[type-var]  # it is a generator
                async for status in statuses:
                    screen.show(status)
                    if status.is_idle:
                        final = status
                        break
            tasks.cancel_scope.cancel()
        return final

    async def _has_following(self, client: "Client", job_id: str) -> bool:
        """Whether another job has been made for what the last one has left."""
        import anyio

        with anyio.move_on_after(_FOLLOWING_S):
            while True:
                kb = await client.kb(self.kb_id)
                if kb.job is not None and kb.job.job_id != job_id:
                    return True
                if kb.job is None or kb.job.status is not JobStatus.COMPLETED or kb.counts is None:
                    return False
                if not kb.counts.queued + kb.counts.processing:
                    return False
                await anyio.sleep(0.1)
        return False

    async def _pause(self, client: "Client") -> Exit:
        """After a signal: pause the job there, and say how it stands."""
        import anyio

        say("pausing after the batch in hand; Ctrl-C again leaves at once")
        try:
            with anyio.move_on_after(PAUSE_S):
                final = await client.pause(self.kb_id)
                while final.requested == "pause":
                    await anyio.sleep(0.1)
                    final = await client.status(self.kb_id)
                await self._sum_up(client, final, shows=True)
        except (JobNotFound, KnowledgeBaseNotFound):
            return Exit.PAUSED  # nothing has begun
        except JobConflict:
            final = await client.status(self.kb_id)  # it has ended in the meantime
            await self._sum_up(client, final, shows=True)
            return Exit.of(final.status)
        except PhaseflowError as error:
            say(f"phaseflow: the job could not be paused, and goes on there: {error}")
        return Exit.PAUSED

    async def _sum_up(self, client: "Client", final: "JobStatusResponse", *, shows: bool = False) -> None:
        if self.as_json:
            if shows:
                from phaseflow.cli.output import screen_for

                with screen_for(self.as_json) as screen:
                    screen.show(final)
            return
        say_lines(messages.summary(final))
        page = await client.failures(final.kb_id, limit=messages.FIRST_FEW)
        say_lines(messages.failures(final, page.items, next_command("failures", self.kb_id)))
        say_lines(messages.advice(final, "the same command" if self.repeatable else None))


async def _leave_when_asked(interrupts: "Interrupts", scope: "anyio.CancelScope") -> None:
    await interrupts.wait()
    scope.cancel()
