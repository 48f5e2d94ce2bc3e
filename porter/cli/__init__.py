"""The command line."""

from porter.cli.commands import main

__all__ = ["main"]
