"""Real networks with their family's knowledge taken away: what ``porter.infer`` finds from at most 20 samples.

    python -m benchmarks.identification_real ../shared/real [--only rrtmgp] [--sensors 9] [--write]

Each network's arrays are written to a plain .npz as they are stored, once under their own names, and once as ``arr_0``,
``arr_1``, ... in an arbitrary order. Samples are those of the original software where it recorded some, with the digits
that it printed; else (FKB, CANYON-MED) what the family's program gives, which is held against the original elsewhere.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import porter
from benchmarks.tables import markdown_table, replace_part
from porter.formats.programs import build_program
from porter.identification.identified import Identified
from porter.identification.infer import pool_of

Array = NDArray[Any]

BEGIN, END = "<!-- identification of real networks: begin -->", "<!-- identification of real networks: end -->"
RESULTS = Path(__file__).with_name("RESULTS.md")
COLUMNS = ("network", "arrays", "samples", "answer", "as the family reads it", "open conventions", "CPU seconds")
SAMPLES, FRESH = 20, 300
CLOSE = 1e-4
"""Of an output's size: what two readings of a network may differ by where they are the same."""


@dataclass(frozen=True)
class Real:
    """A network and what its original software gave.

    Attributes:
        name: for the table.
        arrays: as stored.
        inputs: (rows, n).
        outputs: (rows, m).
        truth: the family's own forward pass in the samples' units.
        table: the lines of a table of samples, where digits were printed.
    """

    name: str
    arrays: dict[str, Array]
    inputs: Array
    outputs: Array
    truth: Callable[[Array], Array]
    table: tuple[str, ...] = ()

    def fresh(self) -> Array:
        """(FRESH, n) inputs between those of the samples."""
        rng = np.random.default_rng(5)
        low, high = self.inputs.min(axis=0), self.inputs.max(axis=0)
        return np.asarray(low + (high - low) * rng.uniform(0, 1, (FRESH, len(low))))


def networks(real: Path, sensors: int) -> Iterator[Real]:
    """Those of the folder, one for each sensor and kind of OC-SMART up to so many."""
    oc_smart = real / "oc_smart"
    paths = [oc_smart / "PACE_Lrc_aaNN.h5", *sorted((oc_smart / "sensors").rglob("*.h5"))[:sensors]]
    for path in paths:
        samples = path.with_name(f"{path.stem}_samples.npz")
        with np.load(samples if samples.exists() else oc_smart / "expected_network.npz") as golden:
            yield _read(path, golden["inputs"], golden["outputs"])
    for path in sorted((real / "c2rcc_ffbp").glob("*_vectors.csv")):
        yield _printed(path.with_name(path.name.replace("_vectors.csv", ".net")), path)
    for cases in sorted((real / "sl2p").rglob("*_TestCases")):
        yield _printed(cases.parent, cases)
    for expected in sorted((real / "rrtmgp_nn" / "expected").glob("*.npz")):
        with np.load(expected) as golden:
            x, y, column = golden["x"], golden["y"], golden["coldry"]
        network = porter.read(real / "rrtmgp_nn" / f"{expected.stem.rpartition('_')[0]}.nc", scaling="none")
        yield _rrtmgp(network, x, y, column, expected.stem.rpartition("_")[2])
    fkb = porter.read(real / "fkb" / "simple_model_with_weights.txt")
    rows = np.random.default_rng(0).uniform(-5, 5, (SAMPLES, fkb.widths[0])).astype(np.float32)
    yield Real("fkb/simple_model_with_weights", *_parts(fkb, rows))
    for folder in sorted((real / "canyon_med").rglob("CANYON-MED_weights")):
        for kind in ("nit", "ph", "sil"):
            network = porter.read(folder, kind=kind)
            ends = [a.reshape(-1)[:-1] for n, a in network.source.arrays.items() if n.startswith(("moy", "std"))]
            rows = ends[0] + ends[len(ends) // 2] * np.random.default_rng(0).normal(size=(SAMPLES, ends[0].size))
            yield Real(f"{folder.parent.parent.name}/{kind}", *_parts(network, rows))


def _parts(network: porter.Network, rows: Array) -> tuple[dict[str, Array], Array, Array, Callable[[Array], Array]]:
    program = build_program(network)
    outputs = np.asarray(program(rows)[0]).astype(rows.dtype)
    return dict(network.source.arrays), rows, outputs, lambda x: np.asarray(program(x)[0])


def _read(path: Path, inputs: Array, outputs: Array) -> Real:
    network = porter.read(path)
    program = build_program(network)
    return Real(path.stem, dict(network.source.arrays), inputs, outputs, lambda x: np.asarray(program(x)[0]))


def _printed(path: Path, table: Path) -> Real:
    network = porter.read(path)
    lines = [line for line in table.read_text().splitlines() if line.strip() and line.lstrip()[0] in "-0123456789"]
    values = np.array([[float(word) for word in line.split(",")] for line in lines])
    program, width = build_program(network), network.widths[0]
    name = path.stem if path.is_file() else f"{path.parent.name}/{path.name}"
    arrays, inputs = dict(network.source.arrays), values[:, :width]
    return Real(name, arrays, inputs, values[:, width:], lambda x: np.asarray(program(x)[0]), tuple(lines))


def _rrtmgp(network: porter.Network, x: Array, y: Array, column: Array, kind: str) -> Real:
    """From the scaled inputs to the optical depth of a molecule, or as the network gives it where both are recorded."""
    arrays, whole = dict(network.source.arrays), build_program(network)
    std, mean = (arrays.get(f"nn_output_coeffs_{part}") for part in ("std", "mean"))

    def truth(rows: Array) -> Array:
        values = np.asarray(whole(rows)[0], np.float64)
        if kind == "pfrac":
            return np.asarray(np.maximum(values, 0) ** 2)
        return values if kind == "lw" else np.asarray((std * values + mean) ** 8)

    outputs = y / column[:, None] if kind == "tau" else y
    return Real(network.name, arrays, x, outputs.astype(np.float32), truth)


def nameless(arrays: dict[str, Array], seed: int = 0) -> dict[str, Array]:
    """The same arrays in an arbitrary order and under no telling names."""
    order = np.random.default_rng(seed).permutation(len(arrays))
    values = list(arrays.values())
    return {f"arr_{number}": values[place] for number, place in enumerate(order)}


def measured(real: Real, arrays: dict[str, Array], rows: int, folder: Path) -> tuple[Identified, str, float]:
    """The answer, whether it is right, and the CPU seconds that it took."""
    np.savez(folder / "mystery.npz", **arrays)  # type: ignore[arg-type]
    step = max(1, len(real.inputs) // rows)
    picked = slice(0, step * rows, step)
    samples: Any = (real.inputs[picked], real.outputs[picked])
    if real.table:
        samples = folder / "samples.csv"
        samples.write_text("\n".join(real.table[picked]) + "\n")
    began = time.process_time()
    found = porter.infer(folder / "mystery.npz", samples)
    return found, rightness(real, found), time.process_time() - began


def rightness(real: Real, found: Identified) -> str:
    """ "right", "among those open" or "WRONG"; "-" where nothing was found."""
    if found.network is None:
        return "-"
    if _agrees(real, np.asarray(build_program(found.network)(real.fresh())[0])):
        return "right"
    pool, _ = pool_of(found.file)
    others = (each.candidate.program(pool) for each in found.alternatives if each.candidate.rule is None)
    return "among those open" if any(_agrees(real, np.asarray(each(real.fresh())[0])) for each in others) else "WRONG"


def _agrees(real: Real, values: Array) -> bool:
    truth = np.asarray(real.truth(real.fresh()), np.float64)
    size = np.nanmax(np.abs(truth), axis=0)
    with np.errstate(invalid="ignore"):
        return bool(np.all((np.abs(values - truth) <= CLOSE * size) | (np.isnan(values) & np.isnan(truth))))


def open_words(found: Identified) -> str:
    """The single conventions that are open."""
    places = dict.fromkeys(
        each.differences[0][0] for each in found.alternatives if each.row is not None and len(each.differences) == 1
    )
    return ", ".join(places) or ("several together" if found.status == "open" else "none")


def main() -> None:
    """Print a line for each, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("real", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--sensors", type=int, default=9, help="how many networks of OC-SMART's other sensors")
    parser.add_argument("--names", choices=("own", "none"), help="one of both ways only")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    rows: list[Sequence[str]] = []
    for real in networks(arguments.real, arguments.sensors):
        if arguments.only not in real.name:
            continue
        counts = (1, SAMPLES) if real.name.startswith("PACE") else (SAMPLES,)
        for names, count in ((names, count) for names in ("own", "none") for count in counts):
            if arguments.names not in (None, names):
                continue
            arrays = real.arrays if names == "own" else nameless(real.arrays)
            with tempfile.TemporaryDirectory() as folder:
                found, right, seconds = measured(real, arrays, count, Path(folder))
            told = found.status if found.reading is None else f"{found.status}, {found.reading.verdict}"
            rows.append((real.name, names, str(count), told, right, open_words(found), f"{seconds:.0f}"))
            print(" | ".join(rows[-1]), flush=True)
            if right in ("WRONG", "-"):
                print(found, flush=True)
    if arguments.write:
        replace_part(RESULTS, BEGIN, END, markdown_table(COLUMNS, rows))


if __name__ == "__main__":
    main()
