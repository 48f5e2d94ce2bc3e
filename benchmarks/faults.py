"""How much porter.verify finds: mistakes planted into ports that are right, and ports that are right.

    python -m benchmarks.faults                         # everything, about an hour of one core
    python -m benchmarks.faults --networks 20 --only kernel_transposed,pairs --no-write
    python -m benchmarks.faults --jobs 4 --cache /tmp/faults

Results are kept in the cache as they come, one line of JSON a network, under a name that changes with the code; a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.equivalents import equivalents
from benchmarks.networks import draw_legacy, fits, trained
from benchmarks.oracle import differs
from benchmarks.pairs import draw_pair
from benchmarks.pasted import paste
from benchmarks.plants import ANY, PLANTS, REPEATS, Expected, Planted
from benchmarks.ports import Builder, Legacy, PortSpec, faithful

ROOT = Path(__file__).resolve().parent.parent
DTYPES = ("float32", "float64", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16")
ROWS = 100
PAIRS = 4
"""Of two mistakes in different layers, for each network; and as many in the same layer."""
PER_PROCESS = 20
"""Networks after which a worker makes way for a fresh one, because TensorFlow keeps what it has traced."""

Record = dict[str, Any]
Task = tuple[str, int, int, tuple[str, ...]]
Run = Callable[[Task], tuple[str, int, list[Record]]]


# --- one network ----------------------------------------------------------------------------------------------------


def run_plants(seed: int, number: int, only: Sequence[str]) -> list[Record]:
    """Every mistake that applies to one network, singly and in pairs."""
    rng = np.random.default_rng([seed, 1, number])
    legacy, spec = draw_port(rng, number)
    bench = Bench(legacy)
    return [judge_plant(bench, *planted) for planted in plants(legacy, spec, [seed, number], only)]


def draw_port(rng: np.random.Generator, number: int) -> tuple[Legacy, PortSpec]:
    """A network, every eighth a trained one, and a port of it that is right."""
    known = trained()
    legacy = known[number // 8 % len(known)] if number % 8 == 0 else draw_legacy(rng)
    fused = bool(rng.random() < 0.7)
    dtypes = rng.choice(DTYPES[:4], 4, replace=False, p=[0.65, 0.2, 0.075, 0.075])
    dtype = next(str(dtype) for dtype in [*dtypes, "float64"] if fits(legacy, faithful(legacy), str(dtype)))
    return legacy, faithful(legacy, dtype, fused)


def plants(
    legacy: Legacy, spec: PortSpec, seed: Sequence[int], only: Sequence[str]
) -> Iterator[tuple[str, str, Planted, bool]]:
    """(kind, name, port, whether every mistake in it differs beyond rounding), each from a seed of its own."""
    for index, (name, plant) in enumerate(PLANTS.items()):
        for repeat in range(REPEATS.get(name, 1) if not only or name in only else 0):
            planted = plant(legacy, spec, np.random.default_rng([*seed, index, repeat]))
            if planted is not None:
                yield "single", name, planted, all(differs(spec, planted.spec, row) for _, row in planted.expected)
    kinds = [(False, "different layers"), (True, "same layer")]
    for (same, kind), repeat in itertools.product(kinds, range(PAIRS if not only or "pairs" in only else 0)):
        drawn = draw_pair(legacy, spec, np.random.default_rng([*seed, 1000, int(same), repeat]), same)
        if drawn is not None:
            name, first, second = drawn
            true = all(differs(spec, first.spec, row) for _, row in first.expected)
            true &= all(differs(first.spec, second.spec, row) for _, row in second.expected)
            options = {**first.options, **second.options}
            yield kind, name, Planted(second.spec, (*first.expected, *second.expected), options), true


def judge_plant(bench: Bench, kind: str, name: str, planted: Planted, true: bool) -> Record:
    """Verify one planted port, and hold what was named against what should be."""
    report, record = bench.verify(planted.spec, planted.options)
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


def matches(expected: Expected, named: tuple[str, str]) -> bool:
    """Whether a finding names one of the mistakes rightly, where it is."""
    return any(named[0] in codes and row in (ANY, named[1]) for codes, row in expected)


def run_faithful(seed: int, number: int, only: Sequence[str]) -> list[Record]:
    """One network, ported rightly in every form and every dtype that its own values fit into."""
    rng = np.random.default_rng([seed, 2, number])
    legacy, spec = draw_port(rng, number)
    bench, records = Bench(legacy), []
    for dtype in DTYPES:
        right = faithful(legacy, dtype, spec.fused)
        if not fits(legacy, right, dtype):
            continue
        for form in equivalents(legacy, right, rng):
            _, record = bench.verify(form.spec, form.options)
            records.append({**record, "kind": "faithful", "name": form.name, "alarm": record["verdict"] == "mismatch"})
    return records


class Bench:
    """One legacy network, read once, and the ports of it that are verified one after another."""

    def __init__(self, legacy: Legacy, pasting: bool = True) -> None:
        import porter

        self.legacy, self.build, self.pasting = legacy, Builder(), pasting
        with tempfile.TemporaryDirectory() as folder:
            self.network = porter.read(legacy.write(Path(folder) / "legacy.h5"), **legacy.options)

    def verify(self, spec: PortSpec, options: dict[str, Any]) -> tuple[Any, Record]:
        """The report, or None where porter broke down, and what is kept of it."""
        import porter

        legacy = self.legacy
        record: Record = {
            "dtype": spec.dtype,
            "network": f"{legacy.name} {'-'.join(map(str, legacy.widths))}",
            "activations": [legacy.activations[0], legacy.activations[-1]],
            "findings": [],
            "error": None,
        }
        start = time.process_time()
        try:
            model = self.build(spec)
            report = porter.verify(self.network, model, search=False, rows=ROWS, **options)
        except Exception:
            return None, {
                **record,
                "verdict": "error",
                "remedy": False,
                "pasted": False,
                "error": traceback.format_exc(limit=-2).strip(),
            }
        record["findings"] = [(f.code, f.layer, f.message[:160]) for f in report.findings[:6]]
        record["notes"] = [] if report.verdict == "parity" else list(report.notes[:3])
        remedied, seconds = report.after_remedy, round(time.process_time() - start, 3)
        return report, {
            **record,
            **(paste(report, self.network, model, search=False, rows=ROWS, **options) if self.pasting else {}),
            "verdict": report.verdict,
            "remedy": remedied == "parity",
            "seconds": seconds,
        }


# --- all networks ---------------------------------------------------------------------------------------------------


MEASURES = ("faults", "pasted", "networks", "plants", "pairs", "ports", "equivalents", "oracle")


def fingerprint(names: Sequence[str] = MEASURES) -> str:
    """Of the code that is measured and of that which measures, by the names of its modules."""
    digest = hashlib.sha256()
    own = [ROOT / "benchmarks" / f"{name}.py" for name in names]
    for path in sorted([*ROOT.glob("porter/**/*.py"), *ROOT.glob("reference/**/*.py"), *own]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def run_task(task: Task) -> tuple[str, int, list[Record]]:
    """One network of one kind, in a worker."""
    import warnings

    import keras

    kind, seed, number, only = task
    warnings.simplefilter("ignore")
    keras.backend.clear_session()
    records = (run_plants if kind == "plants" else run_faithful)(seed, number, only)
    return kind, number, [{"number": number, "seed": seed, **record} for record in records]


def collect(tasks: Sequence[Task], cache: Path, jobs: int, run: Run = run_task) -> list[Record]:
    """The results of all tasks: those in the cache, and the others as they come.

    Args:
        tasks: kind, seed, number, and the names of what alone is wanted.
        cache: file of lines of JSON, made where there is none.
        jobs: processes.
        run: what a process does with a task.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    cache.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["kind"], line["seed"], line["number"]): line["records"] for line in _lines(cache)}
    open_tasks = [task for task in tasks if task[:3] not in done]
    records = [record for task in tasks for record in done.get(task[:3], [])]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress, cache.open("a") as file:
        bar = progress.add_task("networks", total=len(tasks), completed=len(tasks) - len(open_tasks))
        with get_context("spawn").Pool(jobs, maxtasksperchild=PER_PROCESS) as pool:
            for kind, number, found in pool.imap_unordered(run, open_tasks):
                file.write(
                    json.dumps({"kind": kind, "seed": open_tasks[0][1], "number": number, "records": found}) + "\n"
                )
                file.flush()
                records += found
                progress.advance(bar)
    return records


def _lines(cache: Path) -> Iterator[dict[str, Any]]:
    """What was written before; a line that was cut off is left out."""
    for line in cache.read_text().splitlines() if cache.exists() else []:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def main() -> None:
    """Parse, run, print, write."""
    from benchmarks.tables import print_tables, write_results

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200, help="networks to plant mistakes into")
    parser.add_argument("--faithful", type=int, default=400, help="networks to port rightly, in every form and dtype")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of mistakes, and 'pairs', 'faithful'; with commas")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "porter-faults")
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
    name = f"{fingerprint()}{'-' if only else ''}{'-'.join(only)[:60]}.jsonl"
    records = collect(tasks, arguments.cache / name, arguments.jobs)
    print_tables(records, arguments.misses)
    if not arguments.no_write:
        write_results(records, ROOT / "benchmarks" / "RESULTS.md")


if __name__ == "__main__":
    main()
