"""Mutate whatever else porter reads: nothing may come out but porter's own errors.

    python -m benchmarks.fuzz [--mutations 10000] [--seed 0] [--jobs 2] [--kinds network recipe ...]

The seeds are OC-SMART files, recipes, golden samples (``.npz``, ``.csv``), ports (``.keras``, ``.h5``) and what
Keras 2.12 to 2.15 wrote (``.keras``, ``.weights.h5``); bytes of each are changed, cut, copied and moved, and archives
are packed anew with members so changed. The processes are those of ``benchmarks.keras_fuzz``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sys
import tempfile
import threading
import zipfile
from collections import Counter
from pathlib import Path

from benchmarks.keras_fuzz import ROOT, Child, keep
from benchmarks.keras_mutations import Case, Seed, bytewise

Seeds = dict[str, list[tuple[Path, Path | None]]]
FIXTURES = ROOT / "fixtures"


def main() -> int:
    """Fuzz each kind, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation, to see one of them again")
    parser.add_argument("--kinds", nargs="*", help="which kinds (default: all)")
    parser.add_argument("--keep", type=Path, help="where defects and mutations that killed a child are written")
    arguments = parser.parse_args()
    defects = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, files in make_seeds(Path(folder)).items():
            if arguments.kinds and kind not in arguments.kinds:
                continue
            counts = fuzz(kind, files, arguments)
            print(f"{kind}: {counts.total():,} mutations of {len(files)} files")
            for told, count in counts.most_common():
                print(f"{count:8,}  {told}")
            defects += sum(count for told, count in counts.items() if told.startswith("DEFECT"))
    return 1 if defects else 0


def make_seeds(folder: Path) -> Seeds:
    """The files to mutate by kind, each with the file that is read beside it, if any."""
    import porter
    from porter.formats.recipe_writing import write_recipe

    networks = sorted(FIXTURES.glob("*.h5"))
    found: Seeds = {"network": [(path, None) for path in networks if path.stat().st_size < 60_000]}
    found["recipe"] = []
    for path, _ in found["network"][:4]:
        recipe = folder / f"{path.stem}.toml"
        write_recipe(porter.read(path), recipe)
        found["recipe"].append((recipe, path))
    samples = [path for path in sorted(FIXTURES.iterdir()) if path.suffix in (".npz", ".csv")]
    found["samples"] = [(path, None) for path in samples if path.stat().st_size < 60_000]
    found["port"] = []
    for suffix in (".keras", ".h5"):
        porter.port(networks[0], folder / f"port{suffix}", search=False)
        found["port"].append((folder / f"port{suffix}", None))
    found["archive"] = _of_keras_2(folder)
    return found


def _of_keras_2(folder: Path) -> list[tuple[Path, Path | None]]:
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
    text = path.suffix in (".csv", ".toml", ".json")
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


def fuzz(kind: str, files: list[tuple[Path, Path | None]], arguments: argparse.Namespace) -> Counter[str]:
    """Count what came of each mutation."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def serve(number: int) -> None:
        child: Child | None = None
        for index in range(arguments.first + number, arguments.first + arguments.mutations, arguments.jobs):
            draw = random.Random(f"{arguments.seed}/{kind}/{index}")
            path, beside = draw.choice(files)
            near = None if beside is None else beside.read_bytes()
            case = Case("".join(path.suffixes[-2:]) if near else path.suffix, mutate(path, draw), near, kind)
            child = child if child is not None and child.alive else Child("benchmarks.fuzz_child")
            told = child.ask(case)
            with lock:
                counts[told] += 1
                if told.startswith("DEFECT"):
                    sys.stderr.write(f"{kind} {index}: {told}\n")
                if arguments.keep is not None and told.startswith(("DEFECT", "libhdf5")):
                    keep(case, arguments.keep / f"{kind}_{index}")
        if child is not None:
            child.stop()

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(arguments.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    raise SystemExit(main())
