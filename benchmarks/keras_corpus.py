"""Run a folder of legacy Keras files through porter: read, port, verify, compare with what the originals gave.

    python -m benchmarks.keras_corpus ../shared/real/keras_h5 [--manifest MANIFEST.json] [--results FILE] [--write]

Prints, by Keras version: files, read, ported, parity with the reference, agreement with recorded outputs
(max|d| <= 1e-4 max|y| + 1e-7), refused with a reason, failed. Each file runs in a child process under limits of time
and memory; results are appended to a file, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- keras corpus: begin -->", "<!-- keras corpus: end -->"
SECONDS = 300
GIBIBYTES = 24
COLUMNS = ("files", "read", "asked", "ported", "parity", "recorded", "agree", "refused", "failed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--manifest", type=Path, help="default: MANIFEST.json in the folder")
    parser.add_argument("--results", type=Path, help="JSON lines; files that are in it are not run again")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--write", action="store_true", help="write the counts into RESULTS.md")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.folder)
    manifest = arguments.manifest or arguments.folder / "MANIFEST.json"
    entries = [entry for entry in json.loads(manifest.read_text()) if arguments.only in entry["file"]]
    entries = [entry for entry in entries if entry["kind"] in ("full", "arch-json", "weights-only")]
    done = read_results(arguments.results)
    todo = [entry for entry in entries if done.get(entry["file"], {}).get("sha256") != entry["sha256"]]
    started = time.monotonic()
    results = run(arguments.folder, todo, arguments.jobs, arguments.results)
    kept = [done[entry["file"]] for entry in entries if entry["file"] not in results]
    every = kept + list(results.values())
    print(table(every))
    print(exceptions(every))
    if arguments.write:
        from benchmarks.tables import replace_part

        replace_part(ROOT / "benchmarks" / "RESULTS.md", BEGIN, END, markdown(every))
    print(f"\n{len(todo)} files in {time.monotonic() - started:.0f} s, {len(kept)} from before")
    return 1 if any(one["status"] in ("failed", "crashed") or one.get("agree") is False for one in every) else 0


def read_results(path: Path | None) -> dict[str, Any]:
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return {line["file"]: line for line in lines}


def run(folder: Path, entries: list[Any], jobs: int, results: Path | None) -> dict[str, Any]:
    """Hand the files to child processes; a child that dies or hangs is replaced."""
    waiting: queue.Queue[Any] = queue.Queue()
    for entry in entries:
        waiting.put(entry)
    found: dict[str, Any] = {}
    lock = threading.Lock()

    def serve() -> None:
        child: Child | None = None
        while True:
            try:
                entry = waiting.get_nowait()
            except queue.Empty:
                break
            child = child if child is not None and child.alive else Child(folder)
            outcome = {"file": entry["file"], "kind": entry["kind"], "sha256": entry["sha256"],
                       "keras_version": entry["keras_version"] or "none", **child.ask(entry)}  # fmt: skip
            with lock:
                found[entry["file"]] = outcome
                if results is not None:
                    with results.open("a") as stream:
                        stream.write(json.dumps(outcome) + "\n")
                sys.stderr.write(f"\r{len(found)}/{len(entries)} {entry['file'][-60:]:60}")
                sys.stderr.flush()
        if child is not None:
            child.stop()

    threads = [threading.Thread(target=serve) for _ in range(max(1, jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stderr.write("\n")
    return found


class Child:
    """A process that does one file after the other."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1",
                       "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(folder), "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment, preexec_fn=limit,  # noqa: PLW1509 - sets limits, and nothing else
        )  # fmt: skip

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, entry: Any) -> dict[str, Any]:
        timer = threading.Timer(SECONDS, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(entry) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        timer.cancel()
        if line:
            return json.loads(line)
        return {"status": "crashed", "reason": f"the process ended with status {self.process.wait()}"}

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTES << 30, GIBIBYTES << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def work(folder: Path) -> int:
    """In the child: one entry a line in, one result a line out."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints must not get between the answers
    for line in sys.stdin:
        entry, begun = json.loads(line), time.monotonic()
        try:
            outcome = one_file(folder, entry)
        except Exception as error:
            outcome = {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps({**outcome, "seconds": round(time.monotonic() - begun, 2)}) + "\n")
        answers.flush()
    return 0


def one_file(folder: Path, entry: Any) -> dict[str, Any]:
    import porter
    from porter.formats.keras_legacy.errors import ArchitectureMissingError, BackendQuestionError

    path, options = folder / entry["file"], {}
    weights = weights_of(path) if entry["kind"] == "arch-json" else None
    if weights is not None:
        options["weights"] = weights
    asked = False
    try:
        try:
            network = porter.read(path, **options)
        except BackendQuestionError:
            # Weight names without ":0" come from Theano: evidence for this benchmark, not for porter.
            asked = True
            network = porter.read(path, **options, backend="theano")
    except ArchitectureMissingError:
        return {"status": "read", "asked": False}
    except porter.PorterError as error:
        return {"status": "refused", "reason": f"{type(error).__name__}: {error.what.replace(str(folder), '')}"}
    if not network.has_weights:
        return {"status": "read", "asked": asked}
    return {"asked": asked, **port_and_compare(network, folder, entry)}


def weights_of(path: Path) -> Path | None:
    """The weights beside an architecture: of the same stem, alone or in a whole model."""
    stem = path.name.removesuffix(".json").removesuffix("_config")
    found = (path.parent / f"{stem}_{part}.h5" for part in ("weights", "model"))
    return next((one for one in found if one.exists()), None)


def port_and_compare(network: Any, folder: Path, entry: Any) -> dict[str, Any]:
    import keras

    import porter
    from porter.formats.programs import build_program

    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "port.keras"
        try:
            report = porter.port(network, target, force=True)
        except porter.PorterError as error:
            return {"status": "refused", "reason": f"{type(error).__name__}: {error.what.replace(str(folder), '')}"}
        model = keras.saving.load_model(target, compile=False)
    program = build_program(network)
    backend = network.era.backend
    checks = {name: compare(program, model, *arrays) for name, arrays in recorded(folder, entry).items()}
    keras.backend.clear_session()
    right = [name for name in checks if suits(name, backend)]
    judged = right or list(checks)
    known_wrong = bool(checks) and not right and entry["file"].endswith("_tensorflow_1.h5")
    agree = all(checks[name]["agrees"] for name in judged) if judged else None
    return {
        "status": "ported", "verdict": report.verdict, "checks": checks, "backend": backend,
        "agree": None if known_wrong and not agree else agree,
        "differs": [name for name in checks if not checks[name]["agrees"]],
        "uncompared": [row.layer for row in report.layers if row.verdict == "uncompared"],
        "mismatch": [row.layer for row in report.layers if row.verdict == "mismatch"],
        "save": report.links["save"],
    }  # fmt: skip


def suits(oracle: str, backend: str | None) -> bool:
    """Whether an oracle ran on the backend that the file was trained with, or both are the same to it."""
    if oracle == "recorded" or backend is None:
        return True
    return oracle.startswith("keras224_theano") == (backend == "theano")


def recorded(folder: Path, entry: Any) -> dict[str, tuple[list[Any], list[Any]]]:
    found = {}
    for name, place in entry["oracle"].items():
        with np.load(folder / place, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        found[name] = tuple([arrays[key] for key in sorted(arrays) if key[0] == letter] for letter in "xy")
    path = folder / entry["file"]
    stem = path.name.removesuffix(".json").removesuffix(".h5").removesuffix("_config").removesuffix("_model")
    beside = path.parent / f"{stem}_inputs_and_outputs.h5"
    if beside.exists():
        import h5py

        with h5py.File(beside) as file:
            if "predictions" in file:  # "outputs" are what the model was trained towards
                groups = (file["inputs"], file["predictions"])
                found["recorded"] = tuple([group[key][()] for key in group] for group in groups)
    return found


def compare(program: Any, model: Any, inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    """Reference and port against what was recorded, by the tolerance that recorded outputs are owed."""
    import keras

    ours = program(dict(zip(program.inputs, inputs, strict=True)))
    ports = [
        np.asarray(one) for one in keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))
    ]
    worst = 0.0
    for theirs, *both in zip(outputs, ours, ports, strict=True):
        allowed = 1e-4 * float(np.abs(theirs).max(initial=0)) + 1e-7
        for one in both:
            same = one.shape == theirs.shape
            worst = max(worst, float(np.abs(one - theirs).max(initial=0)) / allowed if same else float("inf"))
    return {"agrees": bool(worst <= 1), "of_allowed": worst}


def table(results: list[Any]) -> str:
    """One line a kind and a version."""
    lines = [f"{'kind':13}{'Keras':10}" + "".join(f"{column:>10}" for column in COLUMNS)]
    lines += [f"{kind:13}{keras:10}" + "".join(f"{n:10}" for n in numbers) for kind, keras, *numbers in tally(results)]
    return "\n".join(lines)


def markdown(results: list[Any]) -> str:
    """The counts that are committed; names of files are not."""
    from benchmarks.tables import markdown_table

    names = ("tensorflow", "keras", "numpy", "h5py")
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)])
    reasons = Counter(
        one["reason"].split(":")[0] for one in results if one["status"] in ("refused", "failed", "crashed")
    )
    verdicts = Counter(one["verdict"] for one in results if "verdict" in one)
    told = [f"Verdicts: {', '.join(f'{verdict} {count}' for verdict, count in sorted(verdicts.items()))}."]
    told += [f"Not ported: {', '.join(f'{reason} {count}' for reason, count in sorted(reasons.items()))}."] * bool(
        reasons
    )
    rows = [tuple(map(str, row)) for row in tally(results)]
    return f"{len(results)} files. {versions}.\n{' '.join(told)}\n\n{markdown_table(('kind', 'Keras', *COLUMNS), rows)}"


def tally(results: list[Any]) -> list[tuple[Any, ...]]:
    """Kind, version and the counts of COLUMNS, one row a kind and a version."""
    rows: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for one in results:
        for key in ((one["kind"], one["keras_version"]), (one["kind"], "all")):
            for column in counted(one):
                rows[key][column] += 1
    in_order = sorted(rows.items(), key=lambda item: (item[0][0], item[0][1] == "all", item[0][1]))
    return [(kind, keras, *(row[column] for column in COLUMNS)) for (kind, keras), row in in_order]


def counted(one: Any) -> list[str]:
    status = one["status"]
    found = ["files"]
    found += ["read"] if status in ("read", "ported") else []
    found += ["asked"] if one.get("asked") else []
    found += ["ported"] if status == "ported" else []
    found += ["parity"] if one.get("verdict") == "parity" else []
    found += ["recorded"] if one.get("agree") is not None else []
    found += ["agree"] if one.get("agree") else []
    return found + (["refused"] if status == "refused" else ["failed"] if status in ("failed", "crashed") else [])


def exceptions(results: list[Any]) -> str:
    """A line for every file that is not simply ported, at parity and in agreement."""
    lines = []
    for one in sorted(results, key=lambda result: result["file"]):
        told = []
        if one["status"] in ("refused", "failed", "crashed"):
            told.append(f"{one['status']}: {one['reason']}")
        if one.get("verdict", "parity") != "parity":
            told.append(f"{one['verdict']}: {', '.join(one['mismatch'] + one['uncompared'])}")
        if one.get("agree") is False:
            told.append(f"DISAGREES with {', '.join(one['differs'])}")
        elif one.get("differs"):
            told.append(f"differs only from the other backend's oracle: {', '.join(one['differs'])}")
        lines += [f"{one['file']}\n    {line}" for line in told]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
