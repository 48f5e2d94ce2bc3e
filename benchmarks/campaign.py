"""A run of a benchmark that plants mistakes: its networks one after another, what came of them kept as it comes."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.planting import ARRAYS, GROUPS, Record, Wanted
from benchmarks.tables import print_tables, write_results

ROOT = Path(__file__).resolve().parent.parent
SHARED = ("campaign", "planting", "hiding", "pasted")
PER_PROCESS = 20
"""Networks after which a worker makes way for a fresh one, because TensorFlow keeps what it has traced."""

Task = tuple[str, int, int, Wanted]
Run = Callable[[Task], tuple[str, int, list[Record]]]


@dataclass(frozen=True)
class Campaign:
    """What a benchmark runs, and where its tables stand.

    Attributes:
        plant: (seed, number, what is wanted) to the results of one network with mistakes.
        port: (seed, number) to those of one that is ported rightly.
        mistakes: their names.
        own: the modules of the benchmark, by name.
        networks: how many have mistakes planted unless it is said.
        right: how many are ported rightly.
        marks: between which its tables stand in RESULTS.md.
        cache: name of the folder of its results.
    """

    plant: Callable[[int, int, Wanted], list[Record]]
    port: Callable[[int, int], list[Record]]
    mistakes: Collection[str]
    own: tuple[str, ...]
    networks: int
    right: int
    marks: tuple[str, str]
    cache: str


def fingerprint(names: Sequence[str]) -> str:
    """Of the code that is measured and of that which measures, by the names of its modules."""
    digest = hashlib.sha256()
    own = [ROOT / "benchmarks" / f"{name}.py" for name in (*SHARED, *names)]
    for path in sorted([*ROOT.glob("porter/**/*.py"), *ROOT.glob("reference/**/*.py"), *own]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def run_task(campaign: Campaign, task: Task) -> tuple[str, int, list[Record]]:
    """One network of one kind, in a worker."""
    import warnings

    import keras

    kind, seed, number, wanted = task
    warnings.simplefilter("ignore")
    keras.backend.clear_session()
    records = campaign.plant(seed, number, wanted) if kind == "plants" else campaign.port(seed, number)
    return kind, number, [{"number": number, "seed": seed, **record} for record in records]


def collect(tasks: Sequence[Task], cache: Path, jobs: int, run: Run) -> list[Record]:
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


def command(campaign: Campaign, about: str | None) -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=campaign.networks, help="networks to plant mistakes into")
    parser.add_argument("--faithful", type=int, default=campaign.right, help="networks to port rightly, in every form")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of mistakes, 'pairs', 'threes', 'faithful'; with commas")
    parser.add_argument("--arrays", choices=ARRAYS, help="of the ports with mistakes; both where it is not said")
    parser.add_argument("--no-paste", action="store_true", help="do not run the remedies as they are printed")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / campaign.cache)
    parser.add_argument("--misses", type=int, default=3, help="how many misses of each kind to print")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    only = tuple(filter(None, arguments.only.split(",")))
    known = (*campaign.mistakes, *GROUPS, "faithful")
    if unknown := sorted(set(only) - set(known)):
        parser.error(f"no mistake called {', '.join(unknown)}; known are {', '.join(known)}")
    wanted = Wanted(only, (arguments.arrays,) if arguments.arrays else ARRAYS, not arguments.no_paste)
    planted = arguments.networks if set(only) != {"faithful"} else 0
    right = arguments.faithful if not only or "faithful" in only else 0
    tasks: list[Task] = [("plants", arguments.seed, number, wanted) for number in range(planted)]
    tasks += [("faithful", arguments.seed, number, wanted) for number in range(right)]
    parts = [fingerprint(campaign.own), *only, *([arguments.arrays] if arguments.arrays else [])]
    parts += ["unpasted"] if arguments.no_paste else []
    cache = arguments.cache / f"{'-'.join(parts)[:80]}.jsonl"
    records = collect(tasks, cache, arguments.jobs, partial(run_task, campaign))
    print_tables(records, arguments.misses)
    if not arguments.no_write:
        write_results(records, ROOT / "benchmarks" / "RESULTS.md", *campaign.marks)
