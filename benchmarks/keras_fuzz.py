"""Mutate legacy Keras files, then read, list and run them: nothing may come out but porter's own errors.

    python -m benchmarks.keras_fuzz FOLDER [--mutations 50000] [--bytes 0.1] [--seed 0] [--jobs 2] [--write]

Most mutations change the JSON tree of the configuration or the stored weights, of real files; the share ``--bytes``
changes their bytes, of which most die in libhdf5. Each child process does many of them under limits of time and
memory, and opens no file but the one it is given (an audit hook tells). A child that dies or hangs is replaced; where
it was inside libhdf5 that is counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from benchmarks.keras_mutations import Case, bytewise, load_seed, structured
from benchmarks.tables import markdown_table, replace_part

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- keras fuzz: begin -->", "<!-- keras fuzz: end -->"
SECONDS = 20
GIBIBYTES = 4
LARGEST = 400_000
HUNG = "did not come back"


def main() -> int:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mutations", type=int, default=50_000)
    parser.add_argument("--bytes", type=float, default=0.1, help="share of mutations of bytes (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation, to see one of them again")
    parser.add_argument("--keep", type=Path, help="where defects and mutations that killed a child are written")
    parser.add_argument("--write", action="store_true", help="write the counts into RESULTS.md")
    arguments = parser.parse_args()
    counts = fuzz(arguments)
    for told, count in counts.most_common():
        print(f"{count:8,}  {told}")
    if arguments.write:
        replace_part(ROOT / "benchmarks" / "RESULTS.md", BEGIN, END, markdown(counts, arguments))
    return 1 if any(told.startswith("DEFECT") for told in counts) else 0


def seeds(folder: Path) -> list[Path]:
    """The files to mutate."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in (".h5", ".hdf5", ".json")]
    return [path for path in found if path.stat().st_size < LARGEST and path.name != "MANIFEST.json"]


def make(files: list[Path], arguments: argparse.Namespace, index: int) -> Case:
    """Mutation number ``index``, the same for the same seed."""
    draw = random.Random(f"{arguments.seed}/{index}")
    seed = load_seed(draw.choice(files))
    return (bytewise if draw.random() < arguments.bytes else structured)(seed, draw)


def fuzz(arguments: argparse.Namespace) -> Counter[str]:
    """Count what came of each mutation."""
    counts: Counter[str] = Counter()
    lock, files = threading.Lock(), seeds(arguments.folder)

    def serve(number: int) -> None:
        child: Child | None = None
        for index in range(arguments.first + number, arguments.first + arguments.mutations, arguments.jobs):
            case = make(files, arguments, index)
            child = child if child is not None and child.alive else Child()
            told = child.ask(case)
            if HUNG in told:  # or the machine did: once more decides
                child = Child()
                told = child.ask(case)
            with lock:
                counts[told] += 1
                report(told, index, sum(counts.values()), arguments)
                if arguments.keep is not None and told.startswith(("DEFECT", "libhdf5")):
                    keep(case, arguments.keep / f"{arguments.seed}_{index}")
        if child is not None:
            child.stop()

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(arguments.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stderr.write("\n")
    return counts


def report(told: str, index: int, done: int, arguments: argparse.Namespace) -> None:
    """Defects at once, progress now and then."""
    if told.startswith("DEFECT"):
        sys.stderr.write(f"\r{index}: {told}\n")
    if done % 50 == 0:
        sys.stderr.write(f"\r{done}/{arguments.mutations}")
        sys.stderr.flush()


def keep(case: Case, stem: Path) -> None:
    """Write a case to look at."""
    Path(f"{stem}{case.suffix}").write_bytes(case.data)
    if case.weights is not None:
        Path(f"{stem}_weights.h5").write_bytes(case.weights)


class Child:
    """A process that examines one case after the other, by a module of this package."""

    def __init__(self, module: str = "benchmarks.keras_fuzz_child") -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.trace = Path(self.folder.name) / "trace"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", module, str(self.trace), str(SECONDS - 5)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
            preexec_fn=limit,  # noqa: PLW1509 - sets limits, and nothing else
        )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.process.poll() is None

    def ask(self, case: Case) -> str:
        """What it says of a case, or what became of it."""
        path, weights = (Path(self.folder.name) / name for name in (f"mutation{case.suffix}", "weights.h5"))
        path.write_bytes(case.data)
        if case.weights is not None:
            weights.write_bytes(case.weights)
        question = {"path": str(path), "weights": None if case.weights is None else str(weights),
                    "backend": case.backend}  # fmt: skip
        hung = threading.Event()

        def stop() -> None:
            hung.set()
            self.process.kill()

        timer = threading.Timer(SECONDS, stop)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline().strip()
        except BrokenPipeError:
            line = ""
        timer.cancel()
        return line or self.post_mortem(hung.is_set(), self.process.wait())

    def post_mortem(self, hung: bool, status: int) -> str:
        """Whether it was inside libhdf5 when it hung or died; if not, porter is to blame."""
        frames = [line for line in self.trace.read_text().splitlines() if line.lstrip().startswith("File ")]
        innermost = frames[0].strip() if frames else "nowhere"
        how = HUNG if hung else f"crashed (status {status})"
        inside = any(part in innermost for part in ("/h5py/", "formats/hdf5.py", "formats/storage.py"))
        return f"libhdf5 {how}" if inside else f"DEFECT {how} in {innermost}"

    def stop(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()


def limit() -> None:
    """In the child, before anything else."""
    resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTES << 30, GIBIBYTES << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def markdown(counts: Counter[str], arguments: argparse.Namespace) -> str:
    """The summary that is committed: counts, versions, seed and command."""
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in ("h5py", "numpy"))])
    share = f"{100 * arguments.bytes:.0f} % of bytes, the others of the JSON tree and the stored weights"
    command = (
        f"python -m benchmarks.keras_fuzz FOLDER --mutations {arguments.mutations} --bytes {arguments.bytes:g} "
        f"--seed {arguments.seed} --first {arguments.first}"
    )
    defects = sum(count for told, count in counts.items() if told.startswith("DEFECT"))
    apart = sum(count for told, count in counts.items() if told.startswith("libhdf5"))
    rows = [(told, f"{count:,}") for told, count in counts.most_common()]
    return (
        f"{counts.total():,} mutations ({share}), `{command}`. {versions}, HDF5 {hdf5_version()}.\n"
        f"Defects of porter: {defects}. Crashes and hangs of libhdf5, counted apart: {apart}.\n\n"
        f"{markdown_table(('what came of it', 'mutations'), rows)}"
    )


def hdf5_version() -> str:
    """Of the library that h5py brings."""
    import h5py

    return str(h5py.version.hdf5_version)


if __name__ == "__main__":
    raise SystemExit(main())
