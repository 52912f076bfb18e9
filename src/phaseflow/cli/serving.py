"""The command that runs the service."""

import importlib
from pathlib import Path
from typing import Any

import click

from phaseflow.cli import logs, options


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 picks a free one.")
@click.option("--token", envvar="PHASEFLOW_TOKEN", help="Ask for this bearer token (or PHASEFLOW_TOKEN).")
@click.option(
    "--allow-root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="A folder that sources must lie under. Repeatable; default the current directory.",
)
@options.allow_private
@options.settings
@options.common
@options.verbose
def serve(
    host: str,
    port: int,
    token: str | None,
    allow_root: tuple[Path, ...],
    allow_private: tuple[str, ...],
    db: Path,
    as_json: bool,
    verbosity: int,
    **settings: Any,
) -> None:
    """Serve HTTP, the live feed and the dashboard; interrupted jobs go on."""
    wanted = options.SettingsOptions(**settings).over(None)
    logs.set_up(verbosity, quietest=1)
    service = importlib.import_module("phaseflow.http")
    service.serve(
        db,
        host=host,
        port=port,
        token=token,
        allow_roots=allow_root or (Path.cwd(),),
        allow_private=allow_private,
        settings=wanted,
        as_json=as_json,
    )
