"""What to type next, so that it works as it is printed: with the place and the hosts that this command was given."""

import shlex
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from pydantic import BaseModel

_NAMED = ("resume", "failures", "skip")
_TAKES_HOSTS = frozenset({"ingest", "resume", "retry", "start"})


def next_command(verb: str, *words: str) -> str:
    """A whole command line: ``phaseflow VERB WORDS``, then ``--server`` or ``--db`` as the command that runs has it.

    A verb that runs a job here repeats ``--allow-private``: what was left to crawl would be refused without it.
    """
    return " ".join(["phaseflow", verb, *words, *_given(verb)])


def completed(text: str, kb_id: str) -> str:
    """A message of the engine, which knows of no place: the commands that it names as they work from here."""
    for verb in _NAMED:
        named = f"phaseflow {verb} {kb_id} "
        if named in text:
            text = text.replace(named, next_command(verb, kb_id) + " ")
    return text


def as_typed(value: "BaseModel") -> "BaseModel":
    """What is printed for a program, with the messages of all jobs in it ``completed``."""
    from phaseflow.domain.status import JobStatusResponse  # here, since help and mistakes need no model

    changed: dict[str, Any] = {}
    if isinstance(value, JobStatusResponse):
        changed = {"message": completed(value.message, value.kb_id)}
    elif isinstance(job := getattr(value, "job", None), JobStatusResponse):
        changed = {"job": as_typed(job)}
    elif isinstance(items := getattr(value, "items", None), list):
        changed = {"items": [as_typed(each) for each in items]}
    return value.model_copy(update=changed) if changed else value


def _given(verb: str) -> list[str]:
    context = click.get_current_context(silent=True)
    if context is None:
        return []
    if server := context.params.get("server"):
        return ["--server", shlex.quote(server)]
    found: list[str] = []
    if "db" in context.params and context.get_parameter_source("db") is not ParameterSource.DEFAULT:
        found += ["--db", shlex.quote(str(context.params["db"]))]
    for host in context.params.get("allow_private", ()) if verb in _TAKES_HOSTS else ():
        found += ["--allow-private", shlex.quote(host)]
    return found
