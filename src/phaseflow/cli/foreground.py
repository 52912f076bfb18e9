"""Running one job in the foreground: shown live, paused by Ctrl-C, summed up at its end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phaseflow.cli import messages, options, worker_options
from phaseflow.cli.exit_codes import Exit
from phaseflow.cli.heaps import share_heaps
from phaseflow.cli.next_command import next_command
from phaseflow.cli.place import existing
from phaseflow.cli.terminal import say, say_lines
from phaseflow.domain.errors import JobConflict

if TYPE_CHECKING:
    import anyio

    from phaseflow.cli.interrupts import Interrupts
    from phaseflow.cli.output import Screen
    from phaseflow.domain.status import JobStatusResponse
    from phaseflow.flow import Job, PhaseFlow, Reader

_IN_HAND_S = 1.0
"""What the batches in hand get when somebody wants the command to stop; closing the engine gives them as long again."""


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
    reads_sources: bool = False
    """The command wants a job that reads the sources: where one for the inbox comes first, it is begun after that."""

    async def run(
        self,
        check: "Callable[[Reader], Awaitable[None]]",
        begin: "Callable[[PhaseFlow], Awaitable[Job]]",
        missed: "Callable[[PhaseFlow, JobStatusResponse], Awaitable[bool]] | None" = None,
    ) -> Exit:
        """Open the engine, begin or go on with a job, and follow it until it is over or paused.

        ``check`` raises what ``begin`` would: it reads first, so that a command that is refused resumes nothing.
        Jobs of other knowledge bases do not run here. A cancel stops the job after the batch in hand, and so does a
        signal; a call that hangs then is abandoned, and what was in the air is asked for again when the job resumes.
        What waited for the job to be over (pushes, documents to load anew) is loaded by the next one, which is followed
        too; the exit code is that of the last, or 1 where ``missed`` says that one went without what the command named.
        """
        from phaseflow.cli.interrupts import Interrupts
        from phaseflow.components.workers.confinement import hide_memory
        from phaseflow.flow import PhaseFlow, Reader
        from phaseflow.flow.reader import check_first

        if not self.reads_sources:
            existing(self.db)  # what goes on with a job makes no database
        hide_memory()  # the keys, from whatever takes over a worker
        share_heaps()
        with Interrupts() as interrupts:
            await check_first(self.db, check)
            async with PhaseFlow(
                self.db, only=[self.kb_id], allow_private=self.allow_private, embedding_url=self.embedding_url,
                keep_vectors=self.keep_vectors, index_servers=options.index_servers(),
                workers=worker_options.chosen_workers(),
            ) as flow:  # fmt: skip
                if interrupts.asked:
                    return Exit.PAUSED
                # One after the other: a job for the inbox may have to end before that of the command can begin, and
                # what came in while it ran makes another one. When the command returns, all of it has to be done.
                job, is_begun = await self._begin(flow, begin)
                has_missed = False
                while True:
                    final = await self._follow(flow, job, interrupts)
                    if final is not None and not self.as_json:
                        await self._sum_up(flow, final)
                    if final is None or not final.status.is_terminal or interrupts.asked:
                        break
                    has_missed = has_missed or (missed is not None and await missed(flow, final))
                    if not is_begun:
                        job, is_begun = await self._begin(flow, begin)
                    elif (following := await flow.next_job(job)) is not None:
                        job = following
                    else:
                        break
            if final is None:  # closing the engine has ended what did not end by itself
                async with Reader(self.db) as reader:
                    final = await reader.job_status(job.job_id)
                    await self._report(reader, final)
        if not is_begun:
            return Exit.PAUSED
        return Exit.of(final.status) or (Exit.FAILED if has_missed else Exit.COMPLETED)

    async def _begin(self, flow: "PhaseFlow", begin: "Callable[[PhaseFlow], Awaitable[Job]]") -> "tuple[Job, bool]":
        """A job to follow, and whether it is what the command wants: one for the inbox may come first."""
        job = await begin(flow)
        return job, not self.reads_sources or await flow.reads_sources(job.job_id)

    async def _follow(self, flow: "PhaseFlow", job: "Job", interrupts: "Interrupts") -> "JobStatusResponse | None":
        """Show the job until it is over or paused; None where it is neither in time after a signal."""
        import anyio

        from phaseflow.cli.output import screen_for

        with screen_for(self.as_json) as screen:
            final = None
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_show, job, screen)
                with anyio.CancelScope() as time:
                    tasks.start_soon(_pause_when_asked, flow, job.kb_id, interrupts, time)
                    final = await job.wait_until_idle()
                tasks.cancel_scope.cancel()
            if final is not None:
                screen.show(final)
        return final

    async def _report(self, reader: "Reader", final: "JobStatusResponse") -> None:
        """Show how the job stands now that the engine is closed."""
        from phaseflow.cli.output import screen_for

        if self.as_json:
            with screen_for(self.as_json) as screen:
                screen.show(final)
        else:
            await self._sum_up(reader, final)

    async def _sum_up(self, flow: "PhaseFlow | Reader", final: "JobStatusResponse") -> None:
        say_lines(messages.summary(final))
        page = await flow.failures(final.kb_id, limit=messages.FIRST_FEW)
        say_lines(messages.failures(final, page.items, next_command("failures", final.kb_id)))
        say_lines(messages.advice(final, "the same command" if self.repeatable else None))


async def _show(job: "Job", screen: "Screen") -> None:
    async for status in job.watch():
        screen.show(status)


async def _pause_when_asked(flow: "PhaseFlow", kb_id: str, interrupts: "Interrupts", time: "anyio.CancelScope") -> None:
    import anyio

    await interrupts.wait()
    time.deadline = anyio.current_time() + _IN_HAND_S
    say("pausing after the batch in hand; Ctrl-C again leaves at once")
    try:
        await flow.pause(kb_id)
    except JobConflict:
        return  # it ended by itself in the meantime
