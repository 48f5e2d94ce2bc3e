"""How much porter.verify finds: mistakes planted into ports that are right, and ports that are right.

    python -m benchmarks.faults                         # everything, hours of one core
    python -m benchmarks.faults --networks 20 --only kernel_transposed,pairs,threes --arrays hidden --no-write
    python -m benchmarks.faults --jobs 4 --cache /tmp/faults

Mistakes are planted singly, in pairs and in threes, into ports that show their arrays and ports that hide some of them.
Results are kept in the cache as they come, one line of JSON a network, under a name that changes with the code; a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import itertools
import tempfile
import time
import traceback
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaign import Campaign, command
from benchmarks.equivalents import equivalents
from benchmarks.hiding import hide
from benchmarks.networks import draw_legacy, fits, trained
from benchmarks.oracle import differs
from benchmarks.pairs import draw_together, may_be_read
from benchmarks.pasted import paste
from benchmarks.planting import KINDS, Record, Trial, Wanted, draw_hidden, judged, together, where_hidden
from benchmarks.plants import PLANTS, REPEATS, Planted
from benchmarks.ports import Builder, Legacy, PortSpec, faithful

DTYPES = ("float32", "float64", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16")
ROWS = 100


# --- one network ----------------------------------------------------------------------------------------------------


def run_plants(seed: int, number: int, wanted: Wanted) -> list[Record]:
    """Mistakes planted into one network: each that applies, and several at once."""
    rng = np.random.default_rng([seed, 1, number])
    legacy, spec = draw_port(rng, number)
    bench = Bench(legacy, wanted.pasting)
    return [judge_plant(bench, trial) for trial in trials(legacy, spec, [seed, number], wanted)]


def draw_port(rng: np.random.Generator, number: int) -> tuple[Legacy, PortSpec]:
    """A network, every eighth a trained one, and a port of it that is right."""
    known = trained()
    legacy = known[number // 8 % len(known)] if number % 8 == 0 else draw_legacy(rng)
    fused = bool(rng.random() < 0.7)
    dtypes = rng.choice(DTYPES[:4], 4, replace=False, p=[0.65, 0.2, 0.075, 0.075])
    dtype = next(str(dtype) for dtype in [*dtypes, "float64"] if fits(legacy, faithful(legacy), str(dtype)))
    return legacy, faithful(legacy, dtype, fused)


def trials(legacy: Legacy, spec: PortSpec, seed: Sequence[int], wanted: Wanted) -> Iterator[Trial[PortSpec]]:
    """The ports with mistakes, each from a seed of its own, first with its arrays shown, then with some hidden."""
    for kind, name, made in mistakes(legacy, spec, seed, wanted):
        shown = together(made)
        if "shown" in wanted.arrays:
            yield Trial(kind, name, shown, are_true(spec, made))
        if "hidden" in wanted.arrays:
            rng = np.random.default_rng([*seed, 2000, zlib.crc32(name.encode())])
            layers = [f"Layer{i + 1}" for i in range(len(shown.port.layers))]
            hidden = draw_hidden(rng, layers, shown.rows)
            planted = where_hidden(spec, made, hidden, partial(may_be_read, shown.port))
            planted = replace(planted, hidden=hidden, as_lambda=bool(rng.random() < 0.3))
            yield Trial(kind, name, planted, are_true(spec, made, hidden))


def mistakes(
    legacy: Legacy, spec: PortSpec, seed: Sequence[int], wanted: Wanted
) -> Iterator[tuple[str, str, list[Planted]]]:
    """(kind, name, the mistakes as they are planted one after another)."""
    for index, (name, plant) in enumerate(PLANTS.items()):
        for repeat in range(REPEATS.get(name, 1) if wanted.has(name) else 0):
            planted = plant(legacy, spec, np.random.default_rng([*seed, index, repeat]))
            if planted is not None:
                yield "single", name, [planted]
    for kind, repeat in wanted.kinds:
        drawn = draw_together(legacy, spec, np.random.default_rng([*seed, 1000, list(KINDS).index(kind), repeat]), kind)
        if drawn is not None:
            yield kind, *drawn


def are_true(spec: PortSpec, made: Sequence[Planted], hidden: frozenset[str] = frozenset()) -> bool:
    """Whether each mistake differs beyond rounding from the port before it: in its outputs where arrays are hidden."""
    steps = itertools.pairwise([spec, *(one.port for one in made)])
    pairs = zip(steps, made, strict=True)
    return all(differs(before, after, row, hidden) for (before, after), one in pairs for row in one.rows)


def judge_plant(bench: Bench, trial: Trial[PortSpec]) -> Record:
    """Verify one planted port, and hold what was named against what should be."""
    return judged(*bench.verify(trial.planted), trial)


def run_faithful(seed: int, number: int) -> list[Record]:
    """One network, ported rightly in every form and every dtype that its own values fit into."""
    rng = np.random.default_rng([seed, 2, number])
    legacy, spec = draw_port(rng, number)
    bench, records = Bench(legacy), []
    for dtype in DTYPES:
        right = faithful(legacy, dtype, spec.fused)
        if not fits(legacy, right, dtype):
            continue
        forms = [(form.name, Planted(form.spec, (), form.options)) for form in equivalents(legacy, right, rng)]
        layers = [f"Layer{i + 1}" for i in range(len(right.layers))]
        forms.append(("arrays hidden", Planted(right, (), hidden=draw_hidden(rng, layers, layers[:1]))))
        for name, form in forms:
            _, record = bench.verify(form)
            records.append({**record, "kind": "faithful", "name": name, "alarm": record["verdict"] == "mismatch"})
    return records


class Bench:
    """One legacy network, read once, and the ports of it that are verified one after another."""

    def __init__(self, legacy: Legacy, pasting: bool = True) -> None:
        import porter

        self.legacy, self.build, self.pasting = legacy, Builder(), pasting
        with tempfile.TemporaryDirectory() as folder:
            self.network = porter.read(legacy.write(Path(folder) / "legacy.h5"), **legacy.options)

    def model(self, planted: Planted) -> Any:
        """The port as a keras.Model, with arrays hidden where they should be."""
        model = self.build(planted.port)
        if not planted.hidden:
            return model
        names = {f"Layer{i + 1}": layer.name for i, layer in enumerate(self.build.parts[1])}
        return hide(model, {names[row] for row in planted.hidden}, planted.as_lambda)

    def verify(self, planted: Planted) -> tuple[Any, Record]:
        """The report, or None where porter broke down, and what is kept of it."""
        import porter

        legacy, spec, options = self.legacy, planted.port, planted.options
        record: Record = {
            "dtype": spec.dtype,
            "network": f"{legacy.name} {'-'.join(map(str, legacy.widths))}",
            "activations": [legacy.activations[0], legacy.activations[-1]],
            "findings": [],
            "error": None,
        }
        start = time.process_time()
        try:
            model = self.model(planted)
            report = porter.verify(self.network, model, search=False, rows=ROWS, **options)
        except Exception:
            return None, {
                **record,
                "verdict": "error",
                "remedy": False,
                "error": traceback.format_exc(limit=-2).strip(),
            }
        record["findings"] = [(f.code, f.layer, f.message[:160]) for f in report.findings[:6]]
        record["notes"] = [] if report.verdict == "parity" else list(report.notes[:3])
        remedied, seconds = report.after_remedy, round(time.process_time() - start, 3)
        return report, {
            **record,
            **(
                paste(report, self.network, model, search=False, rows=ROWS, **options)
                if self.pasting and not planted.hidden
                else {}
            ),
            "verdict": report.verdict,
            "remedy": remedied == "parity",
            "seconds": seconds,
        }


# --- all networks ---------------------------------------------------------------------------------------------------


CAMPAIGN = Campaign(
    run_plants, run_faithful, tuple(PLANTS),
    ("faults", "networks", "plants", "pairs", "ports", "equivalents", "oracle"), 200, 400,
    ("<!-- faults: begin -->", "<!-- faults: end -->"), "porter-faults",
)  # fmt: skip

if __name__ == "__main__":
    command(CAMPAIGN, __doc__)
