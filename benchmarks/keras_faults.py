"""How much porter.verify finds in ports of legacy Keras networks: mistakes planted, and ports that are right.

    python -m benchmarks.keras_faults                     # everything, hours of one core
    python -m benchmarks.keras_faults --networks 12 --only gates_permuted,pairs,threes --arrays hidden --no-write

Each network is a legacy .h5 file that the benchmark draws and writes; its port is what porter.build makes, changed and
built again by Keras. Whether a mistake differs at all is decided by Keras itself in float64, not by porter. Mistakes
are planted and results kept as those of ``benchmarks.faults``.
"""

from __future__ import annotations

import itertools
import tempfile
import time
import traceback
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaign import Campaign, command
from benchmarks.hiding import can_be_read, differ_visibly, hide
from benchmarks.keras_networks import KINDS as NETWORKS
from benchmarks.keras_networks import LegacyKeras, draw_keras
from benchmarks.keras_plants import PLANTS, KerasPort, Planted, can_be_built, of_kind, row_of, with_dropout
from benchmarks.pasted import paste
from benchmarks.planting import KINDS, Record, Trial, Wanted, draw_hidden, draw_several, judged, together, where_hidden

DTYPES = ("float32", "float32", "float64", "float32", "mixed_float16", "mixed_bfloat16")
"""Policies of the ports with mistakes, in turn."""
EVERY_DTYPE = ("float32", "float64", "mixed_float16", "mixed_bfloat16")
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}
BEYOND = 64
"""Units of roundoff of the largest output from which on a difference is no longer rounding."""
UNPAIRED = {"port_rounded", "one_weight_6", "training_mode"}
"""Mistakes that are planted alone."""
READ = {"Dense", "Conv1D", "Conv2D", "Conv3D"}
"""Layers whose arrays are read out where they are hidden."""


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

    def model(self, planted: Planted) -> Any:
        """The model of a planted port, with arrays hidden where they should be."""
        model = self.build(planted.port)
        return hide(model, planted.hidden, planted.as_lambda) if planted.hidden else model

    def verify(self, model: Any, pasting: bool = True) -> tuple[Any, Record]:
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
            return None, {**record, "verdict": "error", "remedy": False, "error": error}
        record["findings"] = [(f.code, f.layer, f.message[:160]) for f in report.findings[:6]]
        record["notes"] = [] if report.verdict == "parity" else list(report.notes[:3])
        seconds = round(time.process_time() - start, 3)
        return report, {
            **record, **(paste(report, self.network, model) if pasting else {}), "verdict": report.verdict,
            "remedy": report.after_remedy == "parity", "seconds": seconds,
        }  # fmt: skip

    def differs(self, before: KerasPort, planted: Planted, hidden: Collection[str] = ()) -> bool:
        """Whether a mistake can be told from rounding: by arrays that are shown, or by outputs in float64."""
        if planted.random or _arrays_differ(before, planted.port, hidden):
            return True
        threshold = BEYOND * UNITS[self.dtype]
        wide = self.wide if before is self.right else before.build("float64")
        return any(_apart(*pair, threshold) for pair in _both(wide, planted))

    @cached_property
    def wide(self) -> Any:
        """The right port in float64."""
        return self.right.build("float64")


def _arrays_differ(before: KerasPort, after: KerasPort, hidden: Collection[str]) -> bool:
    """Some array by more than a unit in the last place of its dtype."""
    for name, own in ((name, own) for name, own in after.weights.items() if name not in hidden):
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
    rounds = number // len(NETWORKS)
    legacy = draw_keras(number, np.random.default_rng([seed, 1, number]))
    return KerasBench(legacy, dtype or DTYPES[(number + rounds) % len(DTYPES)])


def run_plants(seed: int, number: int, wanted: Wanted) -> list[Record]:
    """Mistakes planted into one network: each that applies, and several at once."""
    bench = bench_of(seed, number)
    return [judge_plant(bench, trial, wanted.pasting) for trial in trials(bench, [seed, number], wanted)]


def trials(bench: KerasBench, seed: Sequence[int], wanted: Wanted) -> Iterator[Trial[KerasPort]]:
    """The ports with mistakes, each from a seed of its own, first with its arrays shown, then with some hidden."""
    for kind, name, made in mistakes(bench.right, seed, wanted):
        shown = together(made)
        if "shown" in wanted.arrays:
            yield Trial(kind, name, shown, are_true(bench, made))
        if "hidden" in wanted.arrays and not shown.random:
            rng = np.random.default_rng([*seed, 2000, zlib.crc32(name.encode())])
            layers = [layer for layer, own in shown.port.weights.items() if own]
            hidden = draw_hidden(rng, layers, shown.rows, row_of)
            rows = {row_of(layer) for layer in hidden}
            planted = where_hidden(bench.right, made, rows, partial(may_be_read, shown.port))
            planted = replace(planted, hidden=hidden, as_lambda=bool(rng.random() < 0.3))
            yield Trial(kind, name, planted, are_true(bench, made, hidden))


def mistakes(right: KerasPort, seed: Sequence[int], wanted: Wanted) -> Iterator[tuple[str, str, list[Planted]]]:
    """(kind, name, the mistakes as they are planted one after another)."""
    for name in (name for name in PLANTS if wanted.has(name)):
        planted = PLANTS[name](right, np.random.default_rng([*seed, zlib.crc32(name.encode())]))
        if planted is not None and (planted.port.config is right.config or can_be_built(planted.port)):
            yield "single", name, [planted]
    for kind, repeat in wanted.kinds:
        drawn = draw_together(right, np.random.default_rng([*seed, 1000, list(KINDS).index(kind), repeat]), kind)
        if drawn is not None:
            yield kind, *drawn


def are_true(bench: KerasBench, made: Sequence[Planted], hidden: Collection[str] = ()) -> bool:
    """Whether each mistake differs beyond rounding from the port before it."""
    before = [bench.right, *(one.port for one in made[:-1])]
    return all(bench.differs(port, one, hidden) for port, one in zip(before, made, strict=True))


def draw_together(port: KerasPort, rng: np.random.Generator, kind: str) -> tuple[str, list[Planted]] | None:
    """Two or three mistakes, none of which covers another; None where no try finds them."""

    def plant(name: str, before: KerasPort) -> Planted | None:
        return PLANTS[name](before, rng)

    def are_apart(names: Sequence[str], made: Sequence[Planted]) -> bool:
        ports = [port, *(one.port for one in made)]
        parts = [touched(before, after) for before, after in itertools.pairwise(ports)]
        overlaps = any(one & other for one, other in itertools.combinations(parts, 2))
        return not overlaps and not _covers(names) and can_be_built(ports[-1])

    names = [name for name in PLANTS if name not in UNPAIRED and plant(name, port) is not None]
    return draw_several(names, kind, plant, port, rng, are_apart)


def may_be_read(final: KerasPort, before: KerasPort, after: KerasPort, row: str, codes: frozenset[str]) -> bool:
    """Whether hidden layers of a row tell a mistake: by how they are configured, or by numbers of three digits.

    Args:
        final: the port with all of its mistakes.
        before: the port before this one.
        after: the port behind it.
        row: of the mistake.
        codes: that name it where arrays are shown.
    """
    layers = [name for name in final.weights if row_of(name) == row and final.weights[name]]
    return bool(layers) and all(_may_be_read(final, before, after, name, codes) for name in layers)


def _may_be_read(final: KerasPort, before: KerasPort, after: KerasPort, name: str, codes: frozenset[str]) -> bool:
    own, other, inner = before.weights[name], after.weights[name], final.inner(name)
    changed = [key for key in own if other.get(key) is not own[key]]
    if not changed:
        return True
    held = final.weights[name]
    is_known = isinstance(inner.get("activation"), str) and final.kind(name) in READ
    if not is_known or inner["dtype"]["config"]["name"].startswith("mixed"):
        return False
    kernel = held["kernel"].reshape(-1, held["kernel"].shape[-1])
    if not can_be_read(kernel, held.get("bias", np.zeros(1)), inner["activation"]):
        return False
    if any(code.startswith("activation") for code in codes):
        return True
    return any(key not in other or differ_visibly(own[key], other[key]) for key in changed)


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


def judge_plant(bench: KerasBench, trial: Trial[KerasPort], pasting: bool = True) -> Record:
    """Verify one planted port, and hold what was named against what should be."""
    model = bench.model(trial.planted)
    return judged(*bench.verify(model, pasting and not trial.planted.hidden), trial)


def run_faithful(seed: int, number: int) -> list[Record]:
    """One network, ported rightly in every form and dtype."""
    legacy, records = draw_keras(number, np.random.default_rng([seed, 2, number])), []
    for dtype in EVERY_DTYPE:
        bench = KerasBench(legacy, dtype)
        for name, model in forms(bench):
            _, record = bench.verify(model)
            records.append({**record, "kind": "faithful", "name": name, "alarm": record["verdict"] == "mismatch"})
    return records


def forms(bench: KerasBench) -> Iterator[tuple[str, Any]]:
    """Ports that are right: as built, saved and loaded again, with a real dropout, frozen, with arrays hidden."""
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
    layers = [name for name, own in bench.right.weights.items() if own]
    hidden = draw_hidden(np.random.default_rng(len(layers)), layers, [row_of(layers[0])], row_of)
    yield "arrays hidden", hide(model, hidden)


# --- all networks ---------------------------------------------------------------------------------------------------


CAMPAIGN = Campaign(
    run_plants, run_faithful, tuple(PLANTS), ("keras_faults", "keras_networks", "keras_plants"), 144, 144,
    ("<!-- keras faults: begin -->", "<!-- keras faults: end -->"), "porter-keras-faults",
)  # fmt: skip

if __name__ == "__main__":
    command(CAMPAIGN, __doc__)
