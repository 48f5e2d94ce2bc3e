"""The command line: commands of several modules on one app."""

from __future__ import annotations

import sys
from importlib import import_module

QUICK = ("inspect", "formats", "recipe")
"""Commands of ``commands`` that are done in a moment; the modules of the others are not imported for them."""
OTHERS = ("export", "identifying", "learning")
"""Modules that put commands of their own on the app."""


def main() -> None:
    """Run the command line; a refusal is a message and status 2."""
    from porter.cli import commands

    if next((word for word in sys.argv[1:] if not word.startswith("-")), "") not in QUICK:
        for name in OTHERS:
            import_module(f"porter.cli.{name}")
    commands.main()
