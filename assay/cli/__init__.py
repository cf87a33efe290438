"""The ``assay`` command; a room for each trade, with its commands and what they print."""

from assay.cli.command import cli, main

__all__ = ["cli", "main"]
