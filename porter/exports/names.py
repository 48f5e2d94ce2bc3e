"""What a port is called on the command line, where that is not simply the name of a file."""

from __future__ import annotations

import re
from pathlib import Path

FUNCTION = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def named_function(port: str | Path) -> tuple[str, str]:
    """Module and function of ``module:function``; two empty texts where it is anything else, or a file of that name."""
    found = FUNCTION.fullmatch(str(port))
    return (found[1], found[2]) if found is not None and not Path(port).exists() else ("", "")


def checkpoint_prefix(path: Path) -> Path | None:
    """The prefix of a TensorFlow checkpoint, by which its files are known; None where there is none of that name.

    Args:
        path: the prefix itself, or the ``.index`` file.
    """
    if path.name.endswith(".index") and path.is_file():
        return path.with_name(path.name.removesuffix(".index"))
    return path if path.name and not path.is_dir() and path.with_name(f"{path.name}.index").is_file() else None
