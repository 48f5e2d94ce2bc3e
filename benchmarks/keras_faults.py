"""How much porter.verify finds in ports of legacy Keras networks: mistakes planted, and ports that are right.

    python -m benchmarks.keras_faults                     # everything, about an hour of one core
    python -m benchmarks.keras_faults --networks 12 --only gates_permuted,pairs --no-write

Each network is a legacy .h5 file that the benchmark draws and writes; its port is what porter.build makes, changed and
built again by Keras. Whether a mistake differs at all is decided by Keras itself in float64, not by porter. Results are
kept in the cache as they come, as those of ``benchmarks.faults``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import traceback
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults import ROOT, Record, collect, fingerprint, matches
from benchmarks.keras_networks import KINDS, LegacyKeras, draw_keras
from benchmarks.keras_plants import ANY, PLANTS, KerasPort, Planted, can_be_built, of_kind, with_dropout
from benchmarks.pasted import paste

DTYPES = ("float32", "float32", "float64", "float32", "mixed_float16", "mixed_bfloat16")
"""Policies of the ports with mistakes, in turn."""
EVERY_DTYPE = ("float32", "float64", "mixed_float16", "mixed_bfloat16")
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}
BEYOND = 64
"""Units of roundoff of the largest output from which on a difference is no longer rounding."""
PAIRS = 4
"""Of two mistakes in different layers, for each network; and as many in the same layer."""
TRIES = 30
UNPAIRED = {"port_rounded", "one_weight_6", "training_mode"}
OWN = ("keras_faults", "pasted", "keras_networks", "keras_plants")
BEGIN, END = "<!-- keras faults: begin -->", "<!-- keras faults: end -->"


class KerasBench:
    """One legacy network, read once, and the ports of it that are verified one after another."""

    def __init__(self, legacy: LegacyKeras, dtype: str) -> None:
        import porter

        self.legacy, self.dtype = legacy, dtype
        with tempfile.TemporaryDirectory() as folder:
            self.network = porter.read(legacy.write(Path(folder) / "legacy.h5"))
        self.shared = porter.build(self.network, dtype=dtype)
        self.right = KerasPort.of(self.shared)

    def build(self, port: KerasPort) -> Any:
        """The model of a port; one model serves all that differ in their arrays alone."""
        return port.fill(self.shared) if port.config is self.right.config else port.build()

    def verify(self, model: Any) -> tuple[Any, Record]:
        """The report, or None where porter broke down, and what is kept of it."""
        import porter

        record: Record = {
            "dtype": self.dtype, "network": self.legacy.name, "activations": [], "findings": [], "error": None,
        }  # fmt: skip
        start = time.process_time()
        try:
            report = porter.verify(self.network, model)
        except Exception:
            error = traceback.format_exc(limit=-3).strip()
            return None, {**record, "verdict": "error", "remedy": False, "pasted": False, "error": error}
        record["findings"] = [(f.code, f.layer, f.message[:160]) for f in report.findings[:6]]
        record["notes"] = [] if report.verdict == "parity" else list(report.notes[:3])
        seconds = round(time.process_time() - start, 3)
        return report, {
            **record, **paste(report, self.network, model), "verdict": report.verdict,
            "remedy": report.after_remedy == "parity", "seconds": seconds,
        }  # fmt: skip

    def differs(self, before: KerasPort, planted: Planted) -> bool:
        """Whether a mistake can be told from rounding: by its arrays, or by what Keras computes in float64."""
        if planted.random or _arrays_differ(before, planted.port):
            return True
        threshold = BEYOND * UNITS[self.dtype]
        wide = self.wide if before is self.right else before.build("float64")
        return any(_apart(*pair, threshold) for pair in _both(wide, planted))

    @cached_property
    def wide(self) -> Any:
        """The right port in float64."""
        return self.right.build("float64")


def _arrays_differ(before: KerasPort, after: KerasPort) -> bool:
    """Some array by more than a unit in the last place of its dtype."""
    for name, own in after.weights.items():
        for key, array in own.items():
            other = before.weights[name].get(key)
            if other is not None and other.shape == array.shape:
                wide, mine = other.astype(np.float64), array.astype(np.float64)
                if (np.abs(mine - wide) > np.spacing(np.abs(other)).astype(np.float64)).any():
                    return True
    return False


def _both(before: Any, planted: Planted) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What the layer gives without and with the mistake, on inputs of the network and on wide ones of its own."""
    import keras

    rng = np.random.default_rng(5)
    models = [before, planted.port.build("float64")]
    shapes = [tuple(9 if n is None else n for n in each.shape[1:]) for each in models[0].inputs]
    words = any(type(layer).__name__ == "Embedding" for layer in models[0].layers)
    feeds = [rng.integers(0, 12, (20, *s)) if words else rng.normal(0, 1, (20, *s)) for s in shapes]
    layers = [model.get_layer(planted.layer) for model in models]
    ends = [keras.Function(m.inputs, layer.output) for m, layer in zip(models, layers, strict=True)]
    yield tuple(np.asarray(end(feeds)) for end in ends)
    taken = [layer.input for layer in layers]
    if all(hasattr(each, "shape") and each.shape == taken[0].shape for each in taken) and taken[0].dtype == "float64":
        wide = rng.normal(0, 4, (20, *(9 if n is None else n for n in taken[0].shape[1:])))
        yield tuple(np.asarray(layer(wide)) for layer in layers)


def _apart(one: np.ndarray, two: np.ndarray, threshold: float) -> bool:
    if one.shape != two.shape:
        return True
    with np.errstate(all="ignore"):
        return bool(np.max(np.abs(one - two)) > threshold * np.max(np.abs(one)))


# --- one network ----------------------------------------------------------------------------------------------------


def bench_of(seed: int, number: int, dtype: str | None = None) -> KerasBench:
    """The network of a number, and a port of it that is right."""
    rounds = number // len(KINDS)
    legacy = draw_keras(number, np.random.default_rng([seed, 1, number]))
    return KerasBench(legacy, dtype or DTYPES[(number + rounds) % len(DTYPES)])


def run_plants(seed: int, number: int, only: Sequence[str]) -> list[Record]:
    """Every mistake that applies to one network, singly and in pairs."""
    bench = bench_of(seed, number)
    return [judge_plant(bench, *planted) for planted in plants(bench, [seed, number], only)]


def plants(bench: KerasBench, seed: Sequence[int], only: Sequence[str]) -> Iterator[tuple[str, str, Planted, bool]]:
    """(kind, name, port, whether every mistake in it differs beyond rounding), each from a seed of its own."""
    for name in PLANTS if not only else [name for name in PLANTS if name in only]:
        planted = PLANTS[name](bench.right, np.random.default_rng([*seed, zlib.crc32(name.encode())]))
        if planted is not None and (planted.port.config is bench.right.config or can_be_built(planted.port)):
            yield "single", name, planted, bench.differs(bench.right, planted)
    for same in (False, True) if not only or "pairs" in only else ():
        for repeat in range(PAIRS):
            drawn = draw_pair(bench.right, np.random.default_rng([*seed, 1000, int(same), repeat]), same)
            if drawn is not None:
                name, first, second = drawn
                true = bench.differs(bench.right, first) and bench.differs(first.port, second)
                both = Planted(second.port, (*first.expected, *second.expected), second.layer)
                yield "same layer" if same else "different layers", name, both, true


def draw_pair(port: KerasPort, rng: np.random.Generator, same: bool) -> tuple[str, Planted, Planted] | None:
    """Two mistakes, neither of which covers the other; None where thirty tries find none."""
    names = [name for name in PLANTS if name not in UNPAIRED]
    for _ in range(TRIES):
        pair = rng.choice(names, 2, replace=False).tolist()
        first = PLANTS[pair[0]](port, rng)
        second = None if first is None else PLANTS[pair[1]](first.port, rng)
        if first is None or second is None or not can_be_built(second.port):
            continue
        rows = [{row for _, row in planted.expected} for planted in (first, second)]
        overlaps = touched(port, first.port) & touched(first.port, second.port)
        if bool(rows[0] & rows[1]) == same and not overlaps and not _covers(pair):
            return " + ".join(pair), first, second
    return None


def _covers(names: Sequence[str]) -> bool:
    """Whether one of two mistakes cannot be seen behind the other."""
    unset = {"kernel_unset", "kernel_constant"} & set(names)
    return bool(unset) and bool({"bias_zero", "bias_absent", "inputs_permuted", "units_permuted"} & set(names))


def touched(before: KerasPort, after: KerasPort) -> set[tuple[str, str]]:
    """Which arrays and arguments of which layers a mistake has changed."""
    parts = set()
    for name, own in before.weights.items():
        theirs = after.weights.get(name, {})
        parts |= {(name, key) for key in own.keys() | theirs.keys() if own.get(key) is not theirs.get(key)}
    for entry in before.layers:
        name, other = entry["name"], after.entry(entry["name"])
        mine, new = before.inner(name), after.inner(name)
        parts |= {(name, f".{key}") for key in mine.keys() | new.keys() if mine.get(key) != new.get(key)}
        if entry["class_name"] != other["class_name"] or str(entry["inbound_nodes"]) != str(other["inbound_nodes"]):
            parts.add((name, "."))
    return parts


def judge_plant(bench: KerasBench, kind: str, name: str, planted: Planted, true: bool) -> Record:
    """Verify one planted port, and hold what was named against what should be."""
    report, record = bench.verify(bench.build(planted.port))
    named = [(finding.code, finding.layer) for finding in report.findings] if report is not None else []
    return {
        **record,
        "kind": kind,
        "name": name,
        "true": bool(true),
        "expected": [(sorted(codes), row) for codes, row in planted.expected],
        "detected": record["verdict"] == "mismatch",
        "layer": all(row == ANY or any(row == at for _, at in named) for _, row in planted.expected),
        "first": bool(named) and matches(planted.expected, named[0]),
        "all": all(any(matches((one,), other) for other in named) for one in planted.expected),
    }


def run_faithful(seed: int, number: int, only: Sequence[str]) -> list[Record]:
    """One network, ported rightly in every form and dtype."""
    del only
    legacy, records = draw_keras(number, np.random.default_rng([seed, 2, number])), []
    for dtype in EVERY_DTYPE:
        bench = KerasBench(legacy, dtype)
        for name, model in forms(bench):
            _, record = bench.verify(model)
            records.append({**record, "kind": "faithful", "name": name, "alarm": record["verdict"] == "mismatch"})
    return records


def forms(bench: KerasBench) -> Iterator[tuple[str, Any]]:
    """Ports that are right: as built, saved and loaded again, with a real dropout, frozen."""
    import keras

    model = bench.right.build()
    yield "channels first built last" if bench.legacy.name == "channels first" else "as built", model
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "port.keras")
        yield "saved and loaded again", keras.saving.load_model(Path(folder) / "port.keras")
    idle = of_kind(bench.right, "Identity")
    if idle:
        yield "dropout as dropout", with_dropout(bench.right, idle[0]).build()
    frozen = bench.right
    for entry in frozen.layers:
        frozen = frozen if entry["class_name"] == "InputLayer" else frozen.change(entry["name"], trainable=False)
    yield "frozen", frozen.build()


# --- all networks ---------------------------------------------------------------------------------------------------


def run_task(task: tuple[str, int, int, tuple[str, ...]]) -> tuple[str, int, list[Record]]:
    """One network of one kind, in a worker."""
    import warnings

    import keras

    kind, seed, number, only = task
    warnings.simplefilter("ignore")
    keras.backend.clear_session()
    records = (run_plants if kind == "plants" else run_faithful)(seed, number, only)
    return kind, number, [{"number": number, "seed": seed, **record} for record in records]


def main() -> None:
    """Parse, run, print, write."""
    from benchmarks.tables import print_tables, write_results

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=144, help="networks to plant mistakes into")
    parser.add_argument("--faithful", type=int, default=144, help="networks to port rightly, in every form and dtype")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of mistakes, and 'pairs', 'faithful'; with commas")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "porter-keras-faults")
    parser.add_argument("--misses", type=int, default=3, help="how many misses of each kind to print")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    only = tuple(filter(None, arguments.only.split(",")))
    unknown = set(only) - {*PLANTS, "pairs", "faithful"}
    if unknown:
        parser.error(f"no mistake called {', '.join(sorted(unknown))}; known are {', '.join(PLANTS)}, pairs, faithful")
    planted = arguments.networks if not only or set(only) != {"faithful"} else 0
    right = arguments.faithful if not only or "faithful" in only else 0
    tasks = [("plants", arguments.seed, number, only) for number in range(planted)]
    tasks += [("faithful", arguments.seed, number, only) for number in range(right)]
    name = f"{fingerprint(OWN)}{'-' if only else ''}{'-'.join(only)[:60]}.jsonl"
    records = collect(tasks, arguments.cache / name, arguments.jobs, run_task)
    print_tables(records, arguments.misses)
    if not arguments.no_write:
        write_results(records, ROOT / "benchmarks" / "RESULTS.md", BEGIN, END)


if __name__ == "__main__":
    main()
