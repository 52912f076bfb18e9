"""``python -m phaseflow`` is the command line."""

from phaseflow.cli import main

main(prog_name="phaseflow")
