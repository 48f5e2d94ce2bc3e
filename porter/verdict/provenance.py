"""What a verification rests on: files, versions, seed."""

from __future__ import annotations

import hashlib
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from porter.network import Network


def verification(
    network: Network, *, port: str | Path | None, seed: int, placement: str | None, rows: int
) -> dict[str, Any]:
    """What a verification rests on, of whatever family: the provenance of a report.

    Args:
        network: the legacy network.
        port: path of the port, where it came from a file.
        seed: of the probes.
        placement: where the port has the scaling, as declared or found; None where that has no meaning.
        rows: of the network's inputs that the port was fed with.
    """
    return {
        "legacy": str(network.source.path),
        "legacy_sha256": network.source.sha256,
        **({} if network.source.recipe is None else {"recipe": str(network.source.recipe)}),
        "port": None if port is None else str(port),
        "port_sha256": None if port is None or not Path(port).is_file() else digest_of(Path(port)),
        "seed": seed,
        "placement": placement,
        "rows": rows,
        "declarations": dict(network.declarations),
        "versions": versions(),
        "platform": platform.platform(),
    }


def now() -> str:
    """The time, to the minute, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(*more: str) -> dict[str, str]:
    """The versions of whatever had a part in the numbers, and of ``more`` packages, as far as they are loaded."""
    packages = ("porter", "keras", "tensorflow", "numpy", "h5py", "hypothesis", *more)
    loaded = {name: str(sys.modules[name].__version__) for name in packages if name in sys.modules}
    return {"python": platform.python_version(), **loaded}
