"""The options that commands share, and what they mean together."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from phaseflow.cli.parameters import FILE, NAME, PRIVATE_HOST, Number
from phaseflow.domain.vocabulary import JobPhase

if TYPE_CHECKING:
    from phaseflow.domain.settings import Settings
    from phaseflow.domain.validation import Fault

P = ParamSpec("P")
R = TypeVar("R")


def together(*options: Callable[[Callable[P, R]], Callable[P, R]]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Several options as one decorator."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


PHASE = click.Choice(JobPhase, case_sensitive=False)


_INDEX_SERVERS = "phaseflow.index_servers"


def _note_index_servers(context: click.Context, _: click.Parameter, given: tuple[str, ...]) -> None:
    """Kept beside the arguments of the command: they hold passwords, and most commands only pass them on."""
    found: dict[str, str] = {}
    for one in given:
        name, separator, address = one.partition("=")
        if not separator:
            raise click.BadParameter("give it as NAME=postgresql://…")
        found[name] = address
    if found:
        from phaseflow.components.indexes.servers import IndexServers
        from phaseflow.domain.errors import InvalidRequest

        try:
            IndexServers(found, "--index-server")
        except InvalidRequest as error:
            raise click.UsageError(str(error)) from None
    context.meta[_INDEX_SERVERS] = found


def index_servers() -> dict[str, str]:
    """The index servers given to the command that runs, addresses by name."""
    found: dict[str, str] = click.get_current_context().meta.get(_INDEX_SERVERS, {})
    return found


def common(command: Callable[P, R]) -> Callable[P, R]:
    """--db, --json and --index-server, which every command takes."""
    return together(
        click.option(
            "--db",
            type=FILE,
            envvar="PHASEFLOW_DB",
            default="phaseflow.db",
            show_default=True,
            help="The database file (or PHASEFLOW_DB).",
        ),
        click.option("--json", "as_json", is_flag=True, help="Machine-readable output on stdout."),
        click.option(
            "--index-server",
            metavar="NAME=URL",
            multiple=True,
            expose_value=False,
            callback=_note_index_servers,
            help="A PostgreSQL that settings may name as the index (also PHASEFLOW_INDEX_SERVERS). Repeatable.",
        ),
    )(command)


def verbose(command: Callable[P, R]) -> Callable[P, R]:
    """-v, for commands that run an engine."""
    return click.option("-v", "--verbose", "verbosity", count=True, help="Log more; twice for debug output.")(command)


def one_page(command: Callable[P, R]) -> Callable[P, R]:
    """--limit and --cursor of a list."""
    return together(
        click.option(
            "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Maximum number of items."
        ),
        click.option("--cursor", type=NAME, help="The next_cursor of the previous page."),
    )(command)


def allow_private(command: Callable[P, R]) -> Callable[P, R]:
    """--allow-private, for sources and services inside a private network."""
    return click.option(
        "--allow-private",
        type=PRIVATE_HOST,
        metavar="HOST[:PORT]",
        multiple=True,
        help="A private address that may be crawled, or that clients may choose for embedding. Repeatable.",
    )(command)


def keep_vectors(command: Callable[P, R]) -> Callable[P, R]:
    """--keep-vectors, for commands that free."""
    return click.option(
        "--keep-vectors",
        metavar="DAYS",
        type=Number(0, 36_500),
        default=30.0,
        show_default="30",
        envvar="PHASEFLOW_KEEP_VECTORS",
        help="Keep vectors that no document uses any more for so long (or PHASEFLOW_KEEP_VECTORS); 0: not at all.",
    )(command)


def settings(command: Callable[P, R]) -> Callable[P, R]:
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
