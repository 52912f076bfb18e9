"""The program: all commands under one name."""

import click

from phaseflow.cli.ingesting import ingest, resume, retry
from phaseflow.cli.reading import documents, failures, jobs, search, status
from phaseflow.cli.serving import serve
from phaseflow.cli.verbs import cancel, pause


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="phaseflow", message="%(prog)s %(version)s")
def main() -> None:
    """Document ingestion in four durable phases whose status never lies."""


for command in (ingest, serve, status, documents, jobs, failures, search, pause, resume, cancel, retry):
    main.add_command(command)
