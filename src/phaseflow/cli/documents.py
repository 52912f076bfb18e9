"""add, skip and remove: documents that are pushed, and those that are left out."""

import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phaseflow.cli import messages, options, worker_options
from phaseflow.cli.document_metadata import as_metadata
from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.next_command import next_command
from phaseflow.cli.parameters import EXISTING_FILE, KB, NAME
from phaseflow.cli.place import Place, anywhere
from phaseflow.cli.terminal import answer, answer_text, say, say_lines
from phaseflow.domain.counting import counted
from phaseflow.domain.vocabulary import DocumentStatus, JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from phaseflow.domain.documents import DocumentInfo, DocumentRetried
    from phaseflow.domain.status import JobStatusResponse
    from phaseflow.flow import Job, PhaseFlow


@click.command("add")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=EXISTING_FILE)
@click.option("--kb", type=KB, required=True, help="The knowledge base; an unknown one is created.")
@click.option("--metadata", metavar="KEY=VALUE", multiple=True, callback=as_metadata, help="Said about all files.")
@anywhere
def _add_command(
    files: tuple[Path, ...], kb: str, metadata: dict[str, Any] | None, place: Place, as_json: bool
) -> None:
    """Push FILEs into a knowledge base, whatever its job does, and wait for the job that takes them."""
    _check_names(files)
    run(lambda: _add(place, as_json, kb, files, metadata))


def _check_names(files: tuple[Path, ...]) -> None:
    """Raise click.UsageError where two files have one name: a document's uri is the name of its file."""
    by_name: dict[str, Path] = {}
    for file in files:
        other = by_name.setdefault(unicodedata.normalize("NFC", file.name), file)
        if other is not file:
            if other.resolve() == file.resolve():
                raise click.UsageError(f"{file} is named twice; name it once")
            raise click.UsageError(
                f"{other} and {file} have the same name, and would be one document; rename one of them, or read their"
                " folder with `phaseflow ingest`, which keeps their paths"
            )


async def _add(
    place: Place, as_json: bool, kb_id: str, files: tuple[Path, ...], metadata: dict[str, Any] | None
) -> Exit:
    if place.server:
        from phaseflow.cli.remote_foreground import RemoteForeground

        async with place.client() as client:
            taken = await client.upload(kb_id, files, metadata)
            status = await RemoteForeground(place, kb_id, as_json).settled(client)
            found = [await client.document(kb_id, uri) for uri in dict.fromkeys(one.uri for one in taken.documents)]
        return _added(found, status, as_json)
    from phaseflow.flow import PhaseFlow

    async with PhaseFlow(place.db, only=[kb_id], index_servers=options.index_servers()) as flow:
        job = await flow.add_documents(kb_id, files, metadata)
        status = await _last_status(flow, job)
        found = await flow.documents_named(kb_id, list(dict.fromkeys(path.name for path in files)))
    return _added(found, status, as_json)


def _added(found: "list[DocumentInfo]", status: "JobStatusResponse", as_json: bool) -> Exit:
    """With ``--json`` one document, such as the service answers to a push."""
    if as_json:
        from phaseflow.domain.documents import DocumentsChanged

        answer(DocumentsChanged(documents=found, job=status))
    else:
        _told_of(found, as_json, "taken in")
        say_lines(_how_to_go_on(found, status))
    return _exit_with(status, found)


def _how_to_go_on(found: "list[DocumentInfo]", status: "JobStatusResponse") -> "Iterator[str]":
    """What documents wait for that nobody takes up by himself, or why their job went no further."""
    if status.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
        yield from messages.summary(status)
        yield from messages.advice(status)
    if status.status is JobStatus.PAUSED and any(each.status is DocumentStatus.QUEUED for each in found):
        yield f"the job is paused; what is queued is loaded once it goes on: {next_command('resume', status.kb_id)}"


async def _last_status(flow: "PhaseFlow", job: "Job") -> "JobStatusResponse":
    """How the last job ends: what the open one does not take, the next one does."""
    while True:
        status = await job.wait_until_idle()
        following = await flow.next_job(job) if status.status.is_terminal else None
        if following is None:
            return status
        job = following


def _exit_with(status: "JobStatusResponse", found: "list[DocumentInfo]") -> Exit:
    """A job is completed beside documents that failed; a command about documents is not."""
    if status.status is JobStatus.COMPLETED and any(each.status is DocumentStatus.FAILED for each in found):
        return Exit.FAILED
    return Exit.of(status.status)


@click.command("skip")
@click.argument("kb", type=KB)
@click.argument("uri", type=NAME)
@anywhere
def _skip_command(kb: str, uri: str, place: Place, as_json: bool) -> None:
    """Take a document of KB out of search, and leave it out until it is retried."""
    run(lambda: _skip(place, as_json, kb, uri))


async def _skip(place: Place, as_json: bool, kb_id: str, uri: str) -> Exit:
    async with place.reading() as reader:
        await reader.document(kb_id, uri)  # before the engine is opened: what is not there changes nothing
    async with place.changing() as flow:
        await flow.skip_document(kb_id, uri)
        found = await flow.document(kb_id, uri)
    return _told_of([found], as_json, "left out")


@click.command("remove")
@click.argument("kb", type=KB)
@click.argument("uri", type=NAME)
@anywhere
def _remove_command(kb: str, uri: str, place: Place, as_json: bool) -> None:
    """Take a document that was pushed out of KB."""
    run(lambda: _remove(place, as_json, kb, uri))


async def _remove(place: Place, as_json: bool, kb_id: str, uri: str) -> Exit:
    async with place.reading() as reader:
        known = await reader.document(kb_id, uri)
    async with place.changing() as flow:
        await flow.delete_document(kb_id, known.uri)
    if as_json:
        answer_text(json.dumps({"kb_id": kb_id, "uri": known.uri}))
    else:
        say(f"removed {known.uri}")
    return Exit.COMPLETED


async def retry_here(place: Place, as_json: bool, kb_id: str, uri: str, allow_private: tuple[str, ...]) -> Exit:
    """Load one document anew, and wait for it."""
    async with place.reading() as reader:
        await reader.document(kb_id, uri)
    from phaseflow.domain.documents import DocumentRetried

    if place.server:
        from phaseflow.cli.remote_foreground import RemoteForeground

        async with place.client() as client:
            known = await client.retry_document(kb_id, uri)
            status = await RemoteForeground(place, kb_id, as_json).settled(client)
            found = DocumentRetried.of(await client.document(kb_id, known.uri), status)
        return _retried(found, status, as_json)
    from phaseflow.flow import PhaseFlow

    async with PhaseFlow(
        place.db, only=[kb_id], allow_private=allow_private, index_servers=options.index_servers(),
        workers=worker_options.chosen_workers(),
    ) as flow:  # fmt: skip
        await flow.retry_document(kb_id, uri)
        status = await _last_status(flow, await flow.job(kb_id))
        found = DocumentRetried.of(await flow.document(kb_id, uri), status)
    return _retried(found, status, as_json)


def _retried(found: "DocumentRetried", status: "JobStatusResponse", as_json: bool) -> Exit:
    if found.message is None:
        _told_of([found], as_json, "loaded anew")
        if not as_json:
            say_lines(_how_to_go_on([found], status))
        return _exit_with(status, [found])
    if as_json:
        answer(found)
    else:
        say(f"{found.uri}: {found.message}")
    return Exit.PAUSED  # neither done nor failed: it can go on


def _told_of(documents: "list[DocumentInfo]", as_json: bool, what: str) -> Exit:
    if as_json:
        for document in documents:
            answer(document)
        return Exit.COMPLETED
    say(f"{what}: {counted(len(documents), 'document')}")
    for document in documents:
        why = f" ({document.error})" if document.error else ""
        say(f"  {document.uri}: {document.status}{why}")
    return Exit.COMPLETED


COMMANDS = [_add_command, _skip_command, _remove_command]
