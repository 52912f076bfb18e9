"""Running one job in the foreground: shown live, paused by Ctrl-C, summed up at its end."""

import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phaseflow.cli import messages
from phaseflow.cli.exit_codes import Exit, exit_of
from phaseflow.cli.terminal import say, say_lines
from phaseflow.domain.errors import JobConflict

if TYPE_CHECKING:
    from phaseflow.cli.interrupts import Interrupts
    from phaseflow.cli.output import Screen
    from phaseflow.domain.status import JobStatusResponse
    from phaseflow.flow import Job, PhaseFlow, Reader

DEFAULT_DB = Path("phaseflow.db")


@dataclass(frozen=True, slots=True)
class Foreground:
    """How a job in the foreground is run. ``repeatable``: the same command goes on with it after a pause."""

    db: Path
    kb_id: str
    as_json: bool
    repeatable: bool = False
    allow_private: tuple[str, ...] = ()
    embedding_url: str | None = None
    keep_vectors: float = 30.0

    async def run(
        self, check: "Callable[[Reader], Awaitable[None]]", begin: "Callable[[PhaseFlow], Awaitable[Job]]"
    ) -> Exit:
        """Open the engine, begin or go on with a job, and follow it until it is over or paused.

        ``check`` raises what ``begin`` would: it reads first, so that a command that is refused resumes nothing.
        Jobs of other knowledge bases do not run here. A cancel stops the job after the batch in hand.
        """
        from phaseflow.cli.interrupts import Interrupts
        from phaseflow.flow import PhaseFlow
        from phaseflow.flow.reader import check_first

        with Interrupts() as interrupts:
            await check_first(self.db, check)
            async with PhaseFlow(
                self.db, only=[self.kb_id], allow_private=self.allow_private, embedding_url=self.embedding_url,
                keep_vectors=self.keep_vectors,
            ) as flow:  # fmt: skip
                if interrupts.asked:
                    return Exit.PAUSED
                job = await begin(flow)
                final = await self._follow(flow, job, interrupts)
                if not self.as_json:
                    await self._sum_up(flow, final)
        return exit_of(final.status)

    async def _follow(self, flow: "PhaseFlow", job: "Job", interrupts: "Interrupts") -> "JobStatusResponse":
        import anyio

        from phaseflow.cli.output import screen_for

        with screen_for(self.as_json) as screen:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_show, job, screen)
                tasks.start_soon(_pause_when_asked, flow, job.kb_id, interrupts)
                final = await job.wait_until_idle()
                tasks.cancel_scope.cancel()
            screen.show(final)
        return final

    async def _sum_up(self, flow: "PhaseFlow", final: "JobStatusResponse") -> None:
        say_lines(messages.summary(final))
        page = await flow.failures(final.kb_id, limit=messages.FIRST_FEW)
        say_lines(messages.failures(final, page.items, self._command("failures", final.kb_id)))
        again = "the same command" if self.repeatable else self._command("resume", final.kb_id)
        advice = messages.how_to_go_on(final, again, self._command("retry", final.kb_id))
        if advice:
            say(advice)

    def _command(self, verb: str, kb_id: str) -> str:
        where = "" if self.db == DEFAULT_DB else f" --db {shlex.quote(str(self.db))}"
        return f"phaseflow {verb} {kb_id}{where}"


async def _show(job: "Job", screen: "Screen") -> None:
    async for status in job.watch():
        screen.show(status)


async def _pause_when_asked(flow: "PhaseFlow", kb_id: str, interrupts: "Interrupts") -> None:
    await interrupts.wait()
    say("pausing after the batch in hand; Ctrl-C again leaves at once")
    try:
        await flow.pause(kb_id)
    except JobConflict:
        return  # it ended by itself in the meantime
