"""What the wheel holds: ``porter``, and ``reference`` inside of it.

In the repository ``reference`` stands by itself, beside ``porter``. Installed, a package of so plain a name would take
the place of anybody's own ``reference.py``, or give way to it. So the wheel has it as ``porter.reference``, and the
imports in the wheel say so; a checkout, and an editable install of one, stay as they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

IMPORT = re.compile(r"^(\s*(?:from|import)) reference\b", re.MULTILINE)
PLACES = {"porter": "porter", "reference": "porter/reference"}
"""Where each package of the repository lies in the wheel."""


def installed(source: str) -> str:
    """A source with its imports as they are in the wheel."""
    return IMPORT.sub(r"\1 porter.reference", source)


class Hook(BuildHookInterface[Any]):
    """Hands the builder every file of both packages."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the sources as the wheel has them, and name them to the builder."""
        if version == "editable":
            return
        self._drafts = TemporaryDirectory()
        for package, place in PLACES.items():
            folder = Path(self.root) / package
            for path in sorted(folder.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    target = f"{place}/{path.relative_to(folder).as_posix()}"
                    build_data["force_include"][str(self._draft(path, target))] = target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the drafts."""
        if version != "editable":
            self._drafts.cleanup()

    def _draft(self, path: Path, target: str) -> Path:
        if path.suffix != ".py":
            return path
        draft = Path(self._drafts.name) / target
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(installed(path.read_text(encoding="utf-8")), encoding="utf-8")
        return draft
