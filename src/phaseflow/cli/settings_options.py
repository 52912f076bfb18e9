"""The settings of a knowledge base as options, and what they mean together."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from phaseflow.cli.options import together

if TYPE_CHECKING:
    from phaseflow.domain.settings import Settings
    from phaseflow.domain.validation import Fault

P = ParamSpec("P")
R = TypeVar("R")


def settings_options(command: Callable[P, R]) -> Callable[P, R]:
    """The settings of a KB, as options."""
    return together(
        click.option("--chunk-size", type=click.IntRange(1, 100_000), help="Maximum number of characters in a chunk."),
        click.option(
            "--chunk-overlap", type=click.IntRange(0, 100_000), help="Characters that neighbouring chunks share."
        ),
        click.option(
            "--ocr",
            metavar="LANG",
            multiple=True,
            help="Recognise the text of scans and pictures in this language (en, de, zh, …). Repeatable.",
        ),
        click.option(
            "--embedder",
            type=click.Choice(["static", "openai"]),
            help="The model in the package, or an embedding server.",
        ),
        click.option(
            "--embedding-url",
            metavar="URL",
            help="Base URL of the embedding server, for openai; the key goes there only (or PHASEFLOW_EMBEDDING_URL).",
        ),
        click.option("--embedding-model", metavar="NAME", help="Model of the embedding server, for openai."),
        click.option(
            "--embedding-server",
            metavar="NAME",
            help="An embedding server of the file that PHASEFLOW_EMBEDDERS names, instead of URL and model.",
        ),
        click.option("--embedding-dimensions", type=click.IntRange(1, 65_536), help="Length of vectors to ask for."),
        click.option("--embedding-batch-size", type=click.IntRange(1, 2048), help="Maximum number of texts in a call."),
        click.option("--embedding-in-flight", type=click.IntRange(1, 64), help="Maximum number of calls at once."),
        click.option(
            "--embedding-requests-per-minute",
            type=click.IntRange(1, 1_000_000),
            help="Maximum number of calls a minute.",
        ),
        click.option("--query-prefix", metavar="TEXT", help="What the model wants before each query."),
        click.option("--document-prefix", metavar="TEXT", help="What the model wants before each text of a document."),
        click.option(
            "--index", metavar="NAME", help="Where vectors are searched: embedded, or the name of an index server."
        ),
    )(command)


@dataclass(frozen=True, slots=True)
class SettingsOptions:
    """The settings given on the command line; None where an option was left out."""

    chunk_size: int | None = None
    chunk_overlap: int | None = None
    ocr: tuple[str, ...] = ()
    embedder: str | None = None
    embedding_url: str | None = None
    embedding_model: str | None = None
    embedding_server: str | None = None
    embedding_dimensions: int | None = None
    embedding_batch_size: int | None = None
    embedding_in_flight: int | None = None
    embedding_requests_per_minute: int | None = None
    query_prefix: str | None = None
    document_prefix: str | None = None
    index: str | None = None

    def over(self, present: "Settings | None") -> "Settings | None":
        """The settings wanted: those given, on top of ``present`` (None: the defaults). None when nothing was given.

        Raises click.UsageError naming the option that does not fit.
        """
        given = self._given()
        if not given:
            return None
        from pydantic import ValidationError

        from phaseflow.domain.settings import Settings
        from phaseflow.domain.validation import first_fault

        base = {} if present is None else present.model_dump(mode="json")
        try:
            return Settings.model_validate(base | given)
        except ValidationError as error:
            raise click.UsageError(_told(first_fault(error))) from None

    @property
    def address(self) -> str | None:
        """The embedding server that the operator named, also in the environment."""
        return self.embedding_url or os.environ.get("PHASEFLOW_EMBEDDING_URL", "").strip() or None

    def _given(self) -> dict[str, Any]:
        sizes = {"chunk_size": self.chunk_size, "chunk_overlap": self.chunk_overlap, "embedder": self._embedder()}
        given = {name: value for name, value in sizes.items() if value is not None}
        if self.ocr:
            given["ocr"] = {"languages": [each for one in self.ocr for each in one.replace(",", " ").split()]}
        if self.index is not None:
            given["index"] = (
                {"type": "embedded"} if self.index == "embedded" else {"type": "postgres", "server": self.index}
            )
        return given

    def _embedder(self) -> dict[str, Any] | None:
        more = {field: value for field in _FIELDS if (value := getattr(self, _option(field))) is not None}
        if self.embedding_server is not None:
            if self.embedder == "static" or self.embedding_url or self.embedding_model or more:
                raise click.UsageError(
                    "--embedding-server names all about a server; leave out the other options for one"
                )
            return {"type": "openai", "server": self.embedding_server}
        if self.embedder == "openai":
            if self.address and self.embedding_model:
                return {"type": "openai", "base_url": self.address, "model": self.embedding_model, **more}
            raise click.UsageError("--embedder openai needs --embedding-url and --embedding-model")
        if self.embedding_url or self.embedding_model:
            raise click.UsageError("--embedding-url and --embedding-model belong to --embedder openai; add it")
        if more:
            raise click.UsageError(
                f"--{_option(next(iter(more))).replace('_', '-')} belongs to --embedder openai; add it"
            )
        return None if self.embedder is None else {"type": self.embedder}


_FIELDS = ("dimensions", "batch_size", "in_flight", "requests_per_minute", "query_prefix", "document_prefix")
"""Of an embedding server that is given by its address."""


def _option(field: str) -> str:
    return field if field.endswith("prefix") else f"embedding_{field}"


def _told(fault: "Fault") -> str:
    if fault.place.startswith("index"):
        return f"--index: {fault.problem}"
    fields = {"languages": "ocr", "base_url": "embedding_url", "model": "embedding_model", "server": "embedding_server"}
    fields |= {field: _option(field) for field in _FIELDS}
    name = next((part for part in reversed(fault.place.split(".")) if not part.isdecimal()), "")
    return f"--{fields.get(name, name).replace('_', '-')}: {fault.problem}" if name else fault.problem
