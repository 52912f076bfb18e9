"""kbs, settings and delete, on a database and through a service."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from phaseflow import PhaseFlow
from phaseflow.cli import knowledge_bases, main
from phaseflow.domain.settings import Settings
from tests.cli.commands import Shell
from tests.cli.statuses import job
from tests.engine.components import CountingEmbedder
from tests.matrices import together

READING = ["status", "kbs", "documents", "document", "jobs", "failures", "search"]


@pytest.fixture
def filled(library: Shell) -> Shell:
    assert library("ingest", "docs", "--kb", "waf").returncode == 0
    return library


@dataclass(frozen=True)
class Anywhere:
    """Commands that work on the database, or through the service at ``url``."""

    shell: Shell
    url: str | None

    def __call__(self, command: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.shell(command, *words, *(["--server", self.url] if self.url else []))

    def answer(self, command: str, *words: str) -> Any:
        return self.shell.answer(command, *words, *(["--server", self.url] if self.url else []))


@pytest.fixture(params=["database", "service"])
def anywhere(request: pytest.FixtureRequest, filled: Shell) -> Iterator[Anywhere]:
    if request.param == "database":
        yield Anywhere(filled, None)
        return
    with filled.running("serve", "--port", "0", "--json") as service:
        yield Anywhere(filled, json.loads(service.stdout.readline())["url"])


@together("command", [*READING, "settings", "delete", "pause", "resume", "cancel", "retry", "vacuum"])
def test_every_command_that_can_takes_a_server(command: str) -> None:
    options = {option for parameter in main.commands[command].params for option in parameter.opts}
    assert {"--server", "--token"} <= options


def test_knowledge_bases_are_listed(anywhere: Anywhere) -> None:
    (kb,) = anywhere.answer("kbs")["items"]
    assert (kb["kb_id"], kb["counts"]["indexed"], kb["counts"]["failed"]) == ("waf", 3, 1)
    assert "waf" in anywhere("kbs").stderr


def test_settings_are_shown_and_changed_by_key(anywhere: Anywhere) -> None:
    assert anywhere("settings", "waf").stderr.splitlines()[0] == "chunk_size = 1000"
    changed = anywhere.answer("settings", "waf", "chunk_size=800", "chunk_overlap=50")
    assert (changed["chunk_size"], changed["chunk_overlap"]) == (800, 50)
    said = anywhere("settings", "waf").stderr.splitlines()[-1]
    assert said.startswith(
        "The index is older. waf was indexed with another chunk_size and chunk_overlap: every document"
    )
    assert anywhere.answer("settings", "waf", "chunk_size=")["chunk_size"] == 1000


def test_a_change_that_does_not_fit_is_a_usage_error_and_changes_nothing(filled: Shell) -> None:
    before = filled.answer("settings", "waf")
    for change, told in {
        "chunk_size": "'chunk_size' is not KEY=VALUE, as in chunk_size=800",
        "=1": "'=1' is not KEY=VALUE",
        "a..b=1": "'a..b=1' is not KEY=VALUE",
        "nope=1": "nope: there is no such setting",
        "chunk_size.more=1": "chunk_size.more: chunk_size has no parts",
        "chunk_size=0": "chunk_size: ",
    }.items():
        done = filled("settings", "waf", change)
        assert (done.returncode, done.stdout) == (2, ""), change
        assert f"Error: {told}" in done.stderr, change
        assert filled.answer("settings", "waf") == before, change


def test_a_job_that_could_go_on_keeps_the_settings_it_has() -> None:
    said = [knowledge_bases._keeps_settings(job(status=status)) for status in ("failed", "paused", "completed")]
    assert said == [
        "The job that failed keeps the old settings, and so does its retry: phaseflow start waf begins one with the"
        " new",
        "The job that is paused keeps the old settings; the next one has the new",
        None,
    ]


def test_the_job_that_is_open_is_to_end_before_another_begins() -> None:
    paused = job(status="paused", allowed_actions=["resume", "cancel"])
    finish = "finish the one that is paused with phaseflow resume waf, or end it with phaseflow cancel waf, then"
    assert knowledge_bases._how_to_begin("waf", paused) == f"{finish} phaseflow start waf"
    running = job(status="running", allowed_actions=["pause", "cancel"])
    assert knowledge_bases._how_to_begin("waf", running) == "phaseflow start waf, once the one that is running is over"
    assert knowledge_bases._how_to_begin("waf", job(status="failed")) == "phaseflow start waf"


def test_another_type_of_embedder_has_none_of_the_parts_of_the_one_before() -> None:
    server = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    present = Settings.model_validate({"embedder": server})
    assert knowledge_bases._changed(present, [(["embedder", "type"], "static")]) == Settings()


@pytest.mark.thorough
def test_another_embedder_takes_none_of_the_parts_of_the_one_before(filled: Shell) -> None:
    words = ["embedder.type=openai", "embedder.base_url=http://127.0.0.1:9/v1", "embedder.model=m"]
    assert filled.answer("settings", "waf", *words)["embedder"]["model"] == "m"
    assert filled.answer("settings", "waf", "embedder.type=static")["embedder"] == {"type": "static"}


def test_settings_that_a_program_has_replaced_are_said_to_be(filled: Shell) -> None:
    async def index() -> None:
        async with PhaseFlow(filled.here / "phaseflow.db", embedder=CountingEmbedder()) as flow:
            await (await flow.start("own", filled.here / "docs")).wait()

    anyio.run(index)
    assert "its own embedder, in place of what these settings name" in filled("settings", "own").stderr
    assert "its own" not in filled("settings", "waf").stderr


def test_a_knowledge_base_is_deleted(anywhere: Anywhere) -> None:
    assert anywhere.answer("delete", "waf") == {"kb_id": "waf", "documents": 3, "chunks": 3}
    assert anywhere.answer("kbs")["items"] == []
    again = anywhere("delete", "waf")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
