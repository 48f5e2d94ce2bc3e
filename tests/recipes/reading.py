"""A recipe written beside arrays, and read."""

from pathlib import Path
from typing import Any

import porter


def read(folder: Path, text: str, **options: Any) -> Any:
    """The network of ``net.npz`` in a folder, as a recipe says."""
    (folder / "net.toml").write_text(text)
    return porter.read(folder / "net.npz", recipe=folder / "net.toml", **options)
