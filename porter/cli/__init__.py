"""The command line."""

from porter.cli import export
from porter.cli.commands import main

__all__ = ["export", "main"]
