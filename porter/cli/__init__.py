"""The command line: each module registers its commands on the app of ``commands``."""

from porter.cli import export, identifying, learning
from porter.cli.commands import main

__all__ = ["export", "identifying", "learning", "main"]
