"""What porter.verify costs: over rows, over layers, on the real network, and on one of 20 layers of 2,048 units.

    python -m benchmarks.verify_scaling            # a few minutes
    python -m benchmarks.verify_scaling --no-write

Times are the process's own (every core's seconds added up) beside those on the wall clock, the best of three, after
one call that warms TensorFlow up; NumPy on one thread.
"""

from __future__ import annotations

import os

# Before NumPy is imported: its threads wait for each other in a loop, which a busy machine would count as work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import draw_legacy
from benchmarks.ports import Legacy, build, faithful

ROOT = Path(__file__).resolve().parent.parent
ROWS = (500, 1000, 2000, 4000, 8000, 16000)
LAYERS = (2, 4, 6, 8, 12, 16, 20)
BEGIN, END = "<!-- scaling: begin -->", "<!-- scaling: end -->"

Row = tuple[str, ...]


def network(depth: int, width: int) -> Legacy:
    """A tanh network of square layers."""
    rng = np.random.default_rng([depth, width])
    legacy = draw_legacy(
        rng, depth=1, width=2, activation="tanh", last="linear", magnitude=1.0, scaling=False, kind=None
    )
    kernels = tuple(rng.standard_normal((width, width)) / np.sqrt(width) for _ in range(depth))
    biases = tuple(0.3 * rng.standard_normal(width) for _ in range(depth))
    norm = np.stack([np.full(width, -1.0), np.full(width, 2.0)], axis=1)
    activations = ("tanh",) * (depth - 1) + ("linear",)
    return replace(
        legacy, kernels=kernels, biases=biases, activations=activations, norm_in=norm, norm_out=norm, kind=None
    )


def read(legacy: Legacy) -> Any:
    """The network as porter reads it."""
    import porter

    with tempfile.TemporaryDirectory() as folder:
        return porter.read(legacy.write(Path(folder) / "legacy.h5"), **legacy.options)


def measured(call: Callable[[], Any], times: int = 3) -> tuple[float, float]:
    """(process, wall) seconds, the best of some calls after one that is not counted."""
    call()
    found = []
    for _ in range(times):
        process, wall = time.process_time(), time.perf_counter()
        call()
        found.append((time.process_time() - process, time.perf_counter() - wall))
    return min(found)


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Of the power law with an offset, seconds = a + b size^p, by least squares over p."""
    x, y = np.asarray(sizes, float), np.asarray(seconds)
    powers = np.linspace(0.3, 2.5, 221)

    def residual(power: float) -> float:
        columns = np.stack([np.ones_like(x), x**power], axis=1) / y[:, None]
        return float(np.linalg.norm(columns @ np.linalg.lstsq(columns, np.ones_like(y), rcond=None)[0] - 1))

    return float(powers[int(np.argmin([residual(power) for power in powers]))])


def growth() -> tuple[list[Row], list[Row]]:
    """Over rows and over layers, each with its fitted exponent."""
    import porter

    legacy = network(4, 64)
    source, port = read(legacy), build(faithful(legacy))
    rows = [measured(lambda n=n: porter.verify(source, port, search=False, rows=n)) for n in ROWS]  # type: ignore[misc]
    layers = []
    for depth in LAYERS:
        legacy = network(depth, 64)
        source, port = read(legacy), build(faithful(legacy))
        layers.append(measured(lambda s=source, p=port: porter.verify(s, p, search=False, rows=2000)))  # type: ignore[misc]
    return _growth_rows(ROWS, rows), _growth_rows(LAYERS, layers)


def _growth_rows(sizes: Sequence[int], found: Sequence[tuple[float, float]]) -> list[Row]:
    lines = [(f"{size:,}", f"{process:.3f}", f"{wall:.3f}") for size, (process, wall) in zip(sizes, found, strict=True)]
    powers = (f"{exponent(sizes, [pair[k] for pair in found]):.2f}" for k in (0, 1))
    return [*lines, ("fitted exponent", *powers)]


def real() -> list[Row]:
    """The network of 111-111-57-111-107, as its file is, and with a mistake in each of two layers."""
    import porter

    folder = Path(os.environ.get("PORTER_REAL", ROOT.parent / "shared" / "real")) / "oc_smart"
    found = sorted(folder.glob("*.h5")) if folder.is_dir() else []
    if not found:
        return [(f"no real network in {folder.name}; PORTER_REAL names the folder", "-", "-", "-")]
    source = porter.read(found[0])
    port = porter.build(source)
    wrong = _two_mistakes(porter.build(source))
    cases: list[tuple[str, Any, bool, float]] = [
        ("2,000 rows, no search", port, False, 0.5),
        ("2,000 rows, with the search", port, True, 1.5),
        ("a mistake in each of two layers, diagnosed, with the search", wrong, True, 5.0),
    ]
    rows = []
    for name, model, search, target in cases:
        process, wall = measured(lambda m=model, s=search: porter.verify(source, m, search=s))  # type: ignore[misc]
        rows.append((name, f"{process:.2f}", f"{wall:.2f}", f"{target:g}"))
    named = porter.verify(source, wrong).findings
    assert {(f.code, f.layer) for f in named} == {("kernel.transposed", "Layer1"), ("bias.negated", "Layer3")}, named
    return rows


def _two_mistakes(port: Any) -> Any:
    first, third = port.get_layer("Layer1"), port.get_layer("Layer3")
    kernel, bias = first.get_weights()
    first.set_weights([kernel.T, bias])
    kernel, bias = third.get_weights()
    third.set_weights([kernel, -bias])
    return port


def wide() -> dict[str, float]:
    """20 layers of 2,048 units, from file to report in a process of its own, for its peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        _alone("write_wide", folder)
        return dict(json.loads(_alone("verify_wide", folder).splitlines()[-1]))


def _alone(function: str, folder: str) -> str:
    code = f"from benchmarks.verify_scaling import {function}; {function}({folder!r})"
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout


def write_wide(folder: str) -> None:
    """The legacy file, float32, and a port of it."""
    legacy = network(20, 2048)
    replace(legacy, kernels=tuple(kernel.astype(np.float32) for kernel in legacy.kernels)).write(
        Path(folder) / "legacy.h5"
    )
    build(faithful(legacy)).save(Path(folder) / "port.keras")


def verify_wide(folder: str) -> None:
    """Print the seconds, and the peak of memory of the whole process."""
    import keras

    import porter

    legacy, port = Path(folder) / "legacy.h5", keras.models.load_model(Path(folder) / "port.keras", compile=False)
    before = _peak()
    process, wall = time.process_time(), time.perf_counter()
    report = porter.verify(legacy, port, search=False)
    seconds = {"process": time.process_time() - process, "wall": time.perf_counter() - wall}
    assert report.verdict == "parity", report
    print(json.dumps({**seconds, "before": before, "peak": _peak()}))


def _peak() -> float:
    """The most memory that this process ever held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("growth", "real", "wide"), help="measure one part, and write nothing")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    arguments = parser.parse_args()
    parts = []
    if arguments.only in (None, "growth"):
        rows, layers = growth()
        parts.append(table("Rows, 4 layers of 64 units", ("rows", "process s", "wall s"), rows))
        parts.append(table("Layers of 64 units, 2,000 rows", ("layers", "process s", "wall s"), layers))
    if arguments.only in (None, "real"):
        columns = ("the real 111-111-57-111-107 network", "process s", "wall s", "at most")
        parts.append(table("The real network, after imports", columns, real()))
    if arguments.only in (None, "wide"):
        found = wide()
        columns = ("process s", "wall s", "at most", "peak GiB", "of it before verify", "at most")
        row = (
            f"{found['process']:.1f}",
            f"{found['wall']:.1f}",
            "60",
            f"{found['peak']:.2f}",
            f"{found['before']:.2f}",
            "3",
        )
        parts.append(table("20 layers of 2,048 units, 2,000 rows, no search", columns, [row]))
    text = "\n".join(parts)
    print(text)
    if not arguments.no_write and arguments.only is None:
        from benchmarks.tables import replace_part

        replace_part(ROOT / "benchmarks" / "RESULTS.md", BEGIN, END, text)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table under a heading."""
    from benchmarks.tables import markdown_table

    return f"### {title}\n\n{markdown_table(columns, rows)}"


if __name__ == "__main__":
    main()
