"""One network in every format: how large it becomes, how far from the reference it is, how fast its runtime runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PorterError, first_line
from porter.exports.feeds import draw_inputs
from porter.exports.formats import FORMATS
from porter.exports.registry import Format
from porter.exports.source import network_of
from porter.formats.programs import build_program
from porter.jobs.export import export
from porter.network import Network
from porter.ports.file_graph import FileGraph
from porter.ports.keras.stored import StoredArrays
from porter.ports.traced import TracedPort
from porter.progress import tell
from porter.report.report import Report

Array = NDArray[Any]

RATED_ROWS = 256
BESIDE = (".index", ".data-00000-of-00001", ".weights.h5")
"""Endings of files that belong to one of the same name."""
SECONDS = 0.2


@dataclass(frozen=True)
class Exported:
    """What became of one format.

    Attributes:
        form: the format.
        path: of what was written.
        report: of it; None where it was refused.
        refusal: why, in one line.
        size: bytes; of a folder, of all in it.
        error: the largest error of an output, end to end; None where it was not seen.
        rate: rows a second by its runtime, or None.
    """

    form: Format
    path: Path
    report: Report | None = None
    refusal: str = ""
    size: int | None = None
    error: float | None = None
    rate: float | None = None

    @property
    def verdict(self) -> str:
        """Of the link "export", or "refused"."""
        return "refused" if self.report is None else self.report.links.get("export", "not checked")


def export_all(
    source: Any, folder: Path, *, force: bool = False, samples: Any = None, seed: int = 0, **read_options: Any
) -> list[Exported]:
    """Write a network in every format into a folder, and judge each file.

    Args:
        source: as ``porter.export`` takes it.
        folder: made if need be.
        force: replace what is there.
        samples: golden samples, or None.
        seed: of the inputs.
        **read_options: what the file does not say.
    """
    network = network_of(source, read_options)
    folder.mkdir(parents=True, exist_ok=True)
    rows = _rows(network, seed)
    found = []
    for form in FORMATS.values():
        path = folder / f"{network.name}{form.suffix or '_' + form.name}"
        tell(form.name)
        try:
            report = export(network, path, to=form.name, force=force, samples=samples, seed=seed)
        except PorterError as error:
            found.append(Exported(form, path, refusal=_refusal(error)))
            continue
        found.append(Exported(form, path, report, "", _size(path), _error(report), rate_of(form, network, path, rows)))
    return found


def _refusal(error: PorterError) -> str:
    told = error.found or error.what
    return told if error.remedy is None else f"{told}: {error.remedy}"


def _rows(network: Network, seed: int) -> list[Array]:
    drawn = draw_inputs(network, build_program(network), RATED_ROWS, np.random.default_rng(seed))
    return [each[-RATED_ROWS:] for each in drawn]


def _size(path: Path) -> int | None:
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    parts = [path] if path.exists() else []  # a checkpoint is known by its prefix; an architecture has weights beside
    parts += [path.with_name(f"{path.name}{ending}") for ending in BESIDE]
    return sum(each.stat().st_size for each in parts if each.is_file()) or None


def _error(report: Report) -> float | None:
    """The largest error of the last layer end to end."""
    known = [row.cumulative for row in report.layers if row.cumulative is not None]
    return known[-1] if known else None


def rate_of(form: Format, network: Network, path: Path, rows: Sequence[Array]) -> float | None:
    """Rows a second; None where the file is not there, or nothing here runs it."""
    if form.opens is None or _size(path) is None:
        return None
    try:
        opened = form.opens(path, trusted=True)
        if isinstance(opened, TracedPort):
            return opened.rate(rows) if opened.rate is not None else _timed(lambda: opened.run(rows), len(rows[0]))
        if isinstance(opened, FileGraph):
            return _timed(lambda: opened.call(rows), len(rows[0]))
        if isinstance(opened, StoredArrays):
            opened = opened.into(network)
        if hasattr(opened, "variables"):
            fed = [array.astype(np.float32) for array in rows]
            return _timed(lambda: opened(fed if len(fed) > 1 else fed[0]), len(rows[0]))
        return _timed(lambda: opened(*(array.astype(np.float32) for array in rows)), len(rows[0]))
    except PorterError as error:
        tell(first_line(error))
        return None


def _timed(call: Callable[[], Any], rows: int) -> float:
    call()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        call()
        done += rows
    return done / (time.perf_counter() - start)
