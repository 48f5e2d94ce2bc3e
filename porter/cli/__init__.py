"""The command line."""

import porter.cli.learning  # noqa: F401  (registers its commands on the app)
from porter.cli.commands import main

__all__ = ["main"]
