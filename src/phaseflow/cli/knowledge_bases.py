"""kbs, settings and delete: the knowledge bases themselves."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from phaseflow.cli import options
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.next_command import next_command
from phaseflow.cli.parameters import KB
from phaseflow.cli.place import Place, anywhere
from phaseflow.cli.terminal import answer, answer_text, draw, say
from phaseflow.domain.counting import counted
from phaseflow.domain.vocabulary import Action, JobStatus

if TYPE_CHECKING:
    from phaseflow.client import Client
    from phaseflow.domain.settings import Settings
    from phaseflow.domain.status import JobStatusResponse, KnowledgeBase
    from phaseflow.flow import PhaseFlow


@click.command("kbs")
@anywhere
@options.one_page
def _kbs_command(place: Place, as_json: bool, limit: int, cursor: str | None) -> None:
    """All knowledge bases, each with its latest job."""
    run(lambda: list_kbs(place, as_json, limit, cursor))


async def list_kbs(place: Place, as_json: bool, limit: int, cursor: str | None) -> Exit:
    """Show a page of them."""
    async with place.reading() as reader:
        page = await reader.kbs(limit, cursor)
    if as_json:
        answer(page)
        return Exit.COMPLETED
    if page.items:
        from phaseflow.cli import tables

        draw(tables.kbs(page.items))
    else:
        say(f"no knowledge bases yet: {next_command('ingest', 'FOLDER', '--kb', 'NAME')} makes one")
    if page.next_cursor:
        say(f"there is more: --cursor {page.next_cursor}")
    return Exit.COMPLETED


@click.command("delete")
@click.argument("kb", type=KB)
@click.option("--yes", is_flag=True, help="Do not ask.")
@anywhere
def _delete_command(kb: str, yes: bool, place: Place, as_json: bool) -> None:
    """Delete KB with its index, its history and what was pushed to it. Source folders stay as they are.

    Asks first when it runs in a terminal.
    """
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm(f"Delete {kb} with its index and history?", abort=True, err=True)
    run(lambda: _delete(place, as_json, kb))


async def _delete(place: Place, as_json: bool, kb_id: str) -> Exit:
    async with place.reading() as reader:
        known = await reader.kb(kb_id)  # before the engine is opened: what is not there changes nothing
    async with place.changing() as flow:
        await flow.delete_kb(kb_id)
    if as_json:
        answer_text(json.dumps({"kb_id": kb_id, "documents": known.documents, "chunks": known.chunks}))
    else:
        say(f"deleted {kb_id}: {counted(known.documents, 'document')}, {counted(known.chunks, 'chunk')}")
    return Exit.COMPLETED


@click.command("settings")
@click.argument("kb", type=KB)
@click.argument("changes", metavar="[KEY=VALUE]...", nargs=-1)
@anywhere
def _settings_command(kb: str, changes: tuple[str, ...], place: Place, as_json: bool) -> None:
    """The settings of KB; with KEY=VALUE, change them for its next job.

    KEY may have dots, as in embedder.model. VALUE is JSON or text; an empty one sets the default.
    """
    pairs = [_pair(change) for change in changes]
    run(lambda: _settings(place, as_json, kb, pairs))


def _pair(change: str) -> tuple[list[str], Any]:
    key, given, value = change.partition("=")
    if not given or not all(key.split(".")):
        raise click.UsageError(f"{change!r} is not KEY=VALUE, as in chunk_size=800")
    try:
        return key.split("."), json.loads(value) if value else None
    except ValueError:
        return key.split("."), value


async def _settings(place: Place, as_json: bool, kb_id: str, pairs: Sequence[tuple[list[str], Any]]) -> Exit:
    async with place.reading() as reader:
        kb = await reader.kb(kb_id)
    if pairs:
        _changed(kb.settings, pairs)  # before the engine is opened: what cannot be used changes nothing
        async with place.changing() as flow:
            kb = await _put(flow, kb_id, pairs)
    if as_json:
        answer(kb.settings)
        return Exit.COMPLETED
    for key, value in _flat(kb.settings.model_dump(mode="json")):
        say(f"{key} = {value}")
    from phaseflow.domain.indexed_with import made_again

    if made := kb.indexed_with and kb.indexed_with.made_by_program:
        say(f"The index was {made}")
    if again := made_again(kb.stale, kb.documents, kb.chunks):
        say(f"The index is older. {kb_id} {again}; its next job does that: {_how_to_begin(kb_id, kb.job)}")
    if pairs and kb.job is not None and (keeps := _keeps_settings(kb.job)):
        say(keeps)
    return Exit.COMPLETED


async def _put(flow: "PhaseFlow | Client", kb_id: str, pairs: Sequence[tuple[list[str], Any]]) -> "KnowledgeBase":
    """Change these settings, and no other that somebody else changes at the same time."""
    from phaseflow.flow.on_newest import on_newest

    async def write(seen: "KnowledgeBase") -> "KnowledgeBase":
        return await flow.put_kb(kb_id, None, _changed(seen.settings, pairs), if_match=seen.etag)

    return (await on_newest(lambda: flow.kb(kb_id), write))[1]


def _how_to_begin(kb_id: str, job: "JobStatusResponse | None") -> str:
    """How to get a new job, also while there is one that is not over: no other can begin before it is."""
    start = next_command("start", kb_id)
    if job is None or job.status.is_terminal:
        return start
    if Action.RESUME not in job.allowed_actions:
        return f"{start}, once the one that is {job.status} is over"
    resume, cancel = (next_command(verb, kb_id) for verb in ("resume", "cancel"))
    return f"finish the one that is {job.status} with {resume}, or end it with {cancel}, then {start}"


def _keeps_settings(job: "JobStatusResponse") -> str | None:
    """What a job that could go on makes of new settings; None where no job could."""
    if job.status is JobStatus.FAILED:
        begins = f"{next_command('start', job.kb_id)} begins one with the new"
        return f"The job that failed keeps the old settings, and so does its retry: {begins}"
    if job.status.is_terminal:
        return None
    return f"The job that is {job.status} keeps the old settings; the next one has the new"


def _changed(present: "Settings", pairs: Sequence[tuple[list[str], Any]]) -> "Settings":
    """Settings with these keys set. Raises click.UsageError naming one that does not fit."""
    from pydantic import ValidationError

    from phaseflow.domain.settings import Settings
    from phaseflow.domain.validation import first_fault

    values: dict[str, Any] = present.model_dump(mode="json")
    for keys, value in pairs:
        part = values
        for key in keys[:-1]:
            below = part.setdefault(key, {})
            if not isinstance(below, dict):
                raise click.UsageError(f"{'.'.join(keys)}: {key} has no parts")
            part = below
        if value is None:
            part.pop(keys[-1], None)
        else:
            part[keys[-1]] = value
    for name in ("embedder", "index"):
        if any(keys == [name, "type"] for keys, _ in pairs):  # what belonged to the type before goes with it
            told = {keys[1] for keys, _ in pairs if keys[0] == name and len(keys) > 1}
            values[name] = {key: value for key, value in values[name].items() if key in told}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        fault = first_fault(error)
        why = "there is no such setting" if fault.kind == "extra_forbidden" else fault.problem
        raise click.UsageError(f"{fault.place}: {why}" if fault.place else why) from None


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{key}.")
        else:
            found.append((before + key, value if isinstance(value, str) else json.dumps(value)))
    return found


COMMANDS = [_kbs_command, _delete_command, _settings_command]
