"""What is said about documents: KEY=VALUE on the command line, and the command that shows and changes it."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from phaseflow.cli.exit_codes import Exit, run
from phaseflow.cli.parameters import KB, NAME
from phaseflow.cli.place import Place, anywhere
from phaseflow.cli.terminal import answer_text, say

if TYPE_CHECKING:
    from phaseflow.client import Client
    from phaseflow.domain.documents import DocumentInfo
    from phaseflow.flow import PhaseFlow


def as_metadata(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> dict[str, Any] | None:
    """KEY=VALUE, the value being JSON or else a text; KEY given twice is a list. None when there is none."""
    return _checked(_parsed(pairs)) if pairs else None


def _as_changes(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> dict[str, Any]:
    """The same; an empty value is None."""
    changes = {key: None if value == "" else value for key, value in _parsed(pairs).items()}
    _checked({key: value for key, value in changes.items() if value is not None})
    return changes


def _parsed(pairs: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        key, is_pair, text = pair.partition("=")
        if not is_pair:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE")
        found[key] = [*_several(found[key]), text] if key in found else _value(text)
    return found


def _checked(metadata: dict[str, Any]) -> dict[str, Any]:
    from phaseflow.domain.errors import InvalidRequest
    from phaseflow.domain.new_document import check_metadata

    try:
        return check_metadata(metadata)
    except InvalidRequest as error:
        raise click.BadParameter(str(error)) from None


def _several(value: Any) -> list[str]:
    return value if isinstance(value, list) else [str(value)]


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float) else text


@click.command("metadata")
@click.argument("kb", type=KB)
@click.argument("uri", type=NAME)
@click.argument("changes", metavar="[KEY=VALUE]...", nargs=-1, callback=_as_changes)
@anywhere
def _metadata_command(kb: str, uri: str, changes: dict[str, Any], place: Place, as_json: bool) -> None:
    """The metadata of a document of KB; with KEY=VALUE, change them.

    VALUE is a number, true, false or text; KEY given twice is a list, and an empty VALUE removes KEY. Nothing is
    embedded again.
    """
    run(lambda: _metadata(place, as_json, kb, uri, changes))


def shown_value(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


async def _set(flow: "PhaseFlow | Client", kb_id: str, document_id: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Change these names, and no other that somebody else changes at the same time; all there are then."""
    from phaseflow.flow.on_newest import on_newest

    def changed(seen: "DocumentInfo") -> dict[str, Any]:
        return {key: value for key, value in {**seen.metadata, **changes}.items() if value is not None}

    async def write(seen: "DocumentInfo") -> None:
        await flow.set_metadata(kb_id, document_id, changed(seen), if_match=seen.etag)

    return changed((await on_newest(lambda: flow.document(kb_id, document_id), write))[0])


async def _metadata(place: Place, as_json: bool, kb_id: str, uri: str, changes: dict[str, Any]) -> Exit:
    async with place.reading() as reader:
        known = await reader.document(kb_id, uri)  # before the engine is opened: what is not there changes nothing
    shown = dict(known.metadata)
    if changes:
        async with place.changing() as flow:
            shown = await _set(flow, kb_id, known.id, changes)
    if as_json:
        answer_text(json.dumps(shown, ensure_ascii=False))
        return Exit.COMPLETED
    for key, value in shown.items():
        say(f"{key} = {shown_value(value)}")
    return Exit.COMPLETED


COMMANDS = [_metadata_command]
