"""Mutate whatever porter reads: nothing may come out but porter's own errors.

    python -m benchmarks.fuzz [--mutations 10000] [--seed 0] [--jobs 2] [--kinds network recipe ...]
    python -m benchmarks.fuzz --kinds keras --legacy FOLDER --mutations 50000 --write

The seeds are OC-SMART files, recipes, golden samples (``.npz``, ``.csv``), ports (``.keras``), what Keras 2.12
to 2.15 wrote (``.keras``, ``.weights.h5``), and networks of every other family, in a file (``family``) and in a folder
of which one file is changed (``folder``); bytes of each are changed, cut, copied and moved, and archives are packed
anew with members so changed. Of legacy Keras files (``keras``: those of a folder) most mutations change the
JSON tree of the configuration or the stored weights, and the share ``--bytes`` their bytes, of which most die in
libhdf5. A child process does many mutations and opens no file but those it is given (an audit hook tells); where it
hangs or dies inside libhdf5 that is counted apart.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import platform
import random
import sys
import tempfile
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.fuzz_process import HUNG, ROOT, Child, keep
from benchmarks.keras_mutations import Case, Seed, bytewise, load_seed, structured
from benchmarks.tables import markdown_table, replace_part
from tests.formats.families import (
    nnet_arrays,
    weights,
    write_canyon,
    write_connections,
    write_fann,
    write_ffbp,
    write_fkb,
    write_matlab,
    write_neural_fortran,
    write_r_neuralnet,
    write_r_nnet,
    write_rrtmgp,
    write_sl2p,
    write_snns,
)

Files = list[tuple[Path, Path | None]]
Make = Callable[[random.Random], Case]
FIXTURES = ROOT / "fixtures"
BEGIN, END = "<!-- fuzz: begin -->", "<!-- fuzz: end -->"
COLUMNS = ("kind", "mutations", "read", "refused", "by errors", "libhdf5", "defects of porter", "seed")
LARGEST = 400_000
"""Bytes of a legacy Keras file that is mutated."""


def main() -> int:
    """Fuzz each kind, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation, to see one of them again")
    parser.add_argument("--kinds", nargs="*", help="which kinds (default: all)")
    parser.add_argument("--legacy", type=Path, metavar="FOLDER", help="of legacy Keras files, for the kind keras")
    parser.add_argument("--bytes", type=float, default=0.1, help="share of mutations of bytes of those (default: 0.1)")
    parser.add_argument("--keep", type=Path, help="where defects and mutations that killed a child are written")
    parser.add_argument("--write", action="store_true", help="write a row for each kind into RESULTS.md")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    defects = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in makers(Path(folder), arguments).items():
            if arguments.kinds and kind not in arguments.kinds:
                continue
            counts = fuzz(kind, make, arguments)
            print(f"{kind}: {counts.total():,} mutations")
            for told, count in counts.most_common():
                print(f"{count:8,}  {told}")
            defects += sum(count for told, count in counts.items() if told.startswith("DEFECT"))
            if arguments.write:
                write([row(kind, counts, arguments.seed)])
    return 1 if defects else 0


def makers(folder: Path, arguments: argparse.Namespace) -> dict[str, Make]:
    """What makes a mutation of each kind."""
    found: dict[str, Make] = {}
    if not arguments.kinds or set(arguments.kinds) - {"keras"}:
        found = {kind: _maker(kind, files) for kind, files in make_seeds(folder).items() if files}
    if arguments.legacy is not None:
        files = legacy_files(arguments.legacy)
        if not files:
            raise SystemExit(f"{arguments.legacy}: no .h5, .hdf5 or .json of less than {LARGEST:,} bytes")
        found["keras"] = lambda draw: _mutated_keras(load_seed(draw.choice(files)), draw, arguments.bytes)
    return found


def _maker(kind: str, files: Files) -> Make:
    def make(draw: random.Random) -> Case:
        path, beside = draw.choice(files)
        if kind == "folder":
            return Case(path.name, mutate(path, draw), kind=kind, folder=beside)
        near = None if beside is None else beside.read_bytes()
        suffix = "".join(path.suffixes[-2:]) if near else path.suffix
        return Case(suffix, mutate(path, draw), near, kind=kind)

    return make


def _mutated_keras(seed: Seed, draw: random.Random, share: float) -> Case:
    return (bytewise if draw.random() < share else structured)(seed, draw)


def legacy_files(folder: Path) -> list[Path]:
    """The files to mutate."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in (".h5", ".hdf5", ".json")]
    return [path for path in found if path.stat().st_size < LARGEST and path.name != "MANIFEST.json"]


def make_seeds(folder: Path) -> dict[str, Files]:
    """The files to mutate by kind, each with the file that is read beside it, if any."""
    import porter
    from porter.formats.recipe_writing import write_recipe

    networks = sorted(FIXTURES.glob("*.h5"))
    found: dict[str, Files] = {"network": [(path, None) for path in networks if path.stat().st_size < 60_000]}
    found["recipe"] = []
    for path, _ in found["network"][:4]:
        recipe = folder / f"{path.stem}.toml"
        write_recipe(porter.read(path), recipe)
        found["recipe"].append((recipe, path))
    samples = [path for path in sorted(FIXTURES.iterdir()) if path.suffix in (".npz", ".csv")]
    found["samples"] = [(path, None) for path in samples if path.stat().st_size < 60_000]
    porter.port(networks[0], folder / "port.keras", search=False)
    found["port"] = [(folder / "port.keras", None)]  # an .h5 is a legacy Keras file like any other
    found["archive"] = _of_keras_2(folder)
    found["family"] = [(path, None) for path in _of_families(folder)]
    found["folder"] = [
        (path, path.parent)
        for each in (write_canyon(folder / "canyon"), write_sl2p(folder / "LAI"))
        for path in sorted(each.iterdir())
    ]
    return found


def _of_families(folder: Path) -> list[Path]:
    """A file of each family that is one file, and of each container of plain arrays."""
    import numpy as np
    from scipy.io import savemat

    two, three = weights((4, 6, 3)), weights((4, 6, 6, 3))
    np.savez(folder / "fit.npz", **nnet_arrays(two))  # type: ignore[arg-type]
    arrays = {f"{kind}{n}": array for kind, own in zip("Wb", three, strict=True) for n, array in enumerate(own, 1)}
    np.savez(folder / "named.npz", **arrays)  # type: ignore[arg-type]
    savemat(folder / "named.mat", arrays)
    (folder / "named.pkl").write_bytes(pickle.dumps({"coefs_": three[0], "intercepts_": three[1]}))
    header, data = {}, b""
    for name, array in arrays.items():
        ends = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": ends}
        data += array.tobytes()
    told = json.dumps(header).encode()
    (folder / "named.safetensors").write_bytes(len(told).to_bytes(8, "little") + told + data)
    ends = [np.sort(np.random.default_rng(n).uniform(-1, 2, (width, 2)), axis=1) for n, width in enumerate((4, 3))]
    return [
        *(folder / f"named.{suffix}" for suffix in ("npz", "mat", "pkl", "safetensors")),
        write_fkb(folder / "fkb.txt", three, ["relu", "tanh", "linear"]),
        write_rrtmgp(folder / "rrtmgp.nc", weights((4, 6, 6, 3), dtype="float32"), ["softsign", "softsign", "linear"]),
        write_ffbp(folder / "ffbp.net", three, ends),
        write_matlab(folder / "netFunction.m", weights((4, 6, 3)), ["tansig", "purelin"]),
        write_fann(folder / "fann.net", three, [5, 3, 0], [0.5, 0.5, 1.0]),
        write_neural_fortran(folder / "fortran.txt", three, ["tanh", "relu", "sigmoid"]),
        write_neural_fortran(folder / "unnamed.txt", three, None),
        folder / "fit.npz",
        write_r_nnet(folder / "coef.csv", two),
        write_r_neuralnet(folder / "result.csv", three),
        write_connections(folder / "flat.csv", three),
        write_connections(folder / "layered.csv", three, layered=True),
        write_snns(folder / "snns.net", three, ["Act_TanH", "Act_LogSym", "Act_Identity"], shuffled=True),
    ]


def _of_keras_2(folder: Path) -> Files:
    """What Keras 2.12 to 2.15 wrote; nothing where its implementation is not installed."""
    try:
        import tf_keras
    except ImportError:
        return []
    kinds = tf_keras.layers
    x = kinds.Input((6, 3))
    y = kinds.Dense(2)(kinds.Bidirectional(kinds.LSTM(3))(kinds.BatchNormalization()(kinds.Conv1D(4, 2)(x))))
    model = tf_keras.Model(x, y * 2.0 + 1.0)
    model.save(folder / "new.keras")
    model.save_weights(folder / "m.weights.h5")
    (folder / "m.json").write_text(model.to_json())
    with zipfile.ZipFile(folder / "new.keras") as old, zipfile.ZipFile(folder / "old.keras", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, json.dumps({"keras_version": "2.15.0"}) if name == "metadata.json" else data)
    return [(folder / "old.keras", None), (folder / "m.weights.h5", folder / "m.json")]


def mutate(path: Path, draw: random.Random) -> bytes:
    """The bytes of a file changed; or of an archive one member, packed anew."""
    data = path.read_bytes()
    if zipfile.is_zipfile(path) and draw.random() < 0.5:
        return _repacked(data, draw)
    text = path.suffix in (".csv", ".toml", ".json", ".txt", ".net", ".m", "")
    return bytewise(_seed(path.with_suffix(".json") if text else path, data), draw).data


def _repacked(data: bytes, draw: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", draw.choice((0, 8))) as new:
        names = old.namelist()
        changed = draw.choice(names)
        for name in names:
            member = old.read(name)
            new.writestr(name, bytewise(_seed(Path(name), member), draw).data if name == changed else member)
    return out.getvalue()


def _seed(path: Path, data: bytes) -> Seed:
    return Seed(path, data, None)


def fuzz(kind: str, make: Make, arguments: argparse.Namespace) -> Counter[str]:
    """Count what came of each mutation."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def serve(number: int) -> None:
        child: Child | None = None
        for index in range(arguments.first + number, arguments.first + arguments.mutations, arguments.jobs):
            case = make(random.Random(f"{arguments.seed}/{kind}/{index}"))
            child = child if child is not None and child.alive else Child()
            told = child.ask(case)
            if HUNG in told:  # or the machine did: once more decides
                child = Child()
                told = child.ask(case)
            with lock:
                counts[told] += 1
                report(kind, told, index, counts.total(), arguments)
                if arguments.keep is not None and told.startswith(("DEFECT", "libhdf5")):
                    keep(case, arguments.keep / f"{kind}_{index}")
        if child is not None:
            child.stop()

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(arguments.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stderr.write("\n")
    return counts


def report(kind: str, told: str, index: int, done: int, arguments: argparse.Namespace) -> None:
    """Defects at once, progress now and then."""
    if told.startswith("DEFECT"):
        sys.stderr.write(f"\r{kind} {index}: {told}\n")
    if done % 50 == 0:
        sys.stderr.write(f"\r{kind} {done}/{arguments.mutations}")
        sys.stderr.flush()


def row(kind: str, counts: Counter[str], seed: int) -> tuple[str, ...]:
    """What came of the mutations of one kind: read, refused by porter's own errors, and what should never be."""

    def of(beginning: str) -> int:
        return sum(count for told, count in counts.items() if told.startswith(beginning))

    refused, defects, hdf5 = of("refused"), of("DEFECT"), of("libhdf5")
    errors = sum(told.startswith("refused") for told in counts)
    numbers = (counts.total(), counts.total() - refused - defects - hdf5, refused, errors, hdf5, defects, seed)
    return (kind, *(f"{number:,}" for number in numbers))


def write(rows: Sequence[tuple[str, ...]]) -> None:
    """Put rows into RESULTS.md, each in the place of the one that its kind had."""
    results = ROOT / "benchmarks" / "RESULTS.md"
    part = results.read_text().partition(BEGIN)[2].partition(END)[0]
    lines = [tuple(line.strip("| ").split(" | ")) for line in part.splitlines() if line.startswith("| ")]
    table = {line[0]: line for line in (*lines[2:], *rows)}
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in ("h5py", "numpy"))])
    told = f"{versions}, HDF5 {hdf5_version()}. Crashes and hangs inside libhdf5 are counted apart."
    replace_part(results, BEGIN, END, f"{told}\n\n{markdown_table(COLUMNS, list(table.values()))}")


def hdf5_version() -> str:
    """Of the library that h5py brings."""
    import h5py

    return str(h5py.version.hdf5_version)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    raise SystemExit(main())
