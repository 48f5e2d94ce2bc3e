"""Legacy networks in every format: size, error against the reference, rows a second, verdict; and C beside others.

python -m benchmarks.exports --real ../shared/real --page docs/exporting.md
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import porter
from benchmarks.tables import markdown_table
from porter.errors import PorterError
from porter.exports import c
from porter.exports.feeds import draw_inputs
from porter.formats.programs import build_program
from porter.jobs.export_all import Exported, export_all

BEGIN, END = "<!-- exports: begin -->", "<!-- exports: end -->"
NETWORKS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PACE", "oc_smart/PACE_Lrc_aaNN.h5", {}),
    ("SGLI_aphNN", "oc_smart/sensors/SGLI_aphNN.h5", {}),
    ("a CNN with batch normalization", "keras_h5/chemical_vae/zinc_encoder.h5", {}),
    ("an LSTM", "keras_h5/dl4j/keras/simple/lstm_tf_model.h5", {}),
    ("an ensemble", "canyon_med/v2/MATLAB/CANYON-MED_weights", {"kind": "nit"}),
)
FIXTURE = "fixtures/ocean_7-100-75-50-25-7.h5"
COLUMNS = ("format", "size", "largest error", "rows/s", "layers shown", "verdict")
FLAGS = {
    "C, float64, -O2": ("float64", ("-std=c99", "-O2", "-DMAIN")),
    "C, float64, -O3 -march=native": ("float64", ("-std=c99", "-O3", "-march=native", "-DMAIN")),
    "C, float32, -O3 -march=native": ("float32", ("-std=c99", "-O3", "-march=native", "-DMAIN")),
}


def networks(real: Path | None) -> Iterator[tuple[str, Any]]:
    """Name and network, those that are there."""
    yield "7-100-75-50-25-7", porter.read(FIXTURE)
    for name, file, options in NETWORKS if real is not None else ():
        found = [real / file] if (real / file).exists() else sorted((real / Path(file).parent).rglob(Path(file).name))
        if found:
            yield name, porter.read(found[0], **options)


def tables(name: str, network: Any, folder: Path) -> str:
    """The table of one network; what was refused stands below it."""
    rows = export_all(network, folder, force=True)
    table = markdown_table(COLUMNS, [_cells(row) for row in rows if row.report is not None])
    refused = "".join(f"- {row.form.name}: refused: {row.refusal}\n" for row in rows if row.report is None)
    return f"### {name}\n\n{table}\n{refused}".rstrip("\n") + "\n"


def _cells(row: Exported) -> Sequence[str]:
    layers = () if row.report is None else row.report.layers
    shown = sum(one.verdict in ("parity", "mismatch") for one in layers)
    return (
        row.form.name,
        "-" if row.size is None else f"{row.size / 1024:,.0f} kB",
        "-" if row.error is None else f"{row.error:.1e}",
        "-" if row.rate is None else f"{float(f'{row.rate:.2g}'):,.0f}",
        f"{shown} of {len(layers)}",
        row.verdict,
    )


def speed(network: Any, folder: Path) -> str:
    """Rows a second of one thread, one after the other in one run."""
    rows = draw_inputs(network, build_program(network), 256, np.random.default_rng(0))[0][-256:]
    found = [(name, _compiled(network, folder, rows, *how)) for name, how in FLAGS.items()]
    for name, file, options in (
        ("NumPy, float64, 256 rows at a time", "speed.py", {}),
        ("onnxruntime, float32, 256 rows at a time", "speed.onnx", {}),
    ):
        found.append((name, _of_file(network, folder / file, rows, options)))
    return markdown_table(("runtime", "rows/s"), [(name, rate) for name, rate in found])


def _compiled(network: Any, folder: Path, rows: Any, precision: str, flags: tuple[str, ...]) -> str:
    usual = c.COMPILER
    c.COMPILER = replace(usual, flags=flags)
    try:
        return _of_file(network, folder / "speed.c", rows, {"precision": precision})
    finally:
        c.COMPILER = usual


def _of_file(network: Any, path: Path, rows: Any, options: dict[str, Any]) -> str:
    from porter.exports.formats import format_for
    from porter.jobs.export_all import rate_of

    form = format_for(path)
    try:
        report = porter.export(network, path, force=True, **options)
        rate = None if form is None else rate_of(form, network, path, [rows])
    except PorterError as error:
        return str(error.found)
    return f"{rate or 0:,.0f} ({report.verdict})"


def main() -> None:
    """Print the tables; write them into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--only", help="networks whose name holds this")
    arguments = parser.parse_args()
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for name, network in networks(arguments.real):
            if arguments.only is None or arguments.only in name:
                parts.append(tables(name, network, Path(folder) / "files"))
                print(parts[-1], flush=True)
            if name == "PACE" and (arguments.only is None or arguments.only in name):
                parts.append("Rows a second of one thread on PACE:\n\n" + speed(network, Path(folder)))
                print(parts[-1], flush=True)
    machine = f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}"
    made = "`python -m benchmarks.exports --real ../shared/real --page docs/exporting.md`"
    text = f"{BEGIN}\nMade by {made}: {machine}.\n\n" + "\n".join(parts) + END
    if arguments.page is not None:
        page = arguments.page.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN, 1)
        arguments.page.write_text(before + text + rest.split(END, 1)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
