"""A process of its own for mutated files, under limits of time and memory; one that dies or hangs is replaced."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks.keras_mutations import Case

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 20
GIBIBYTES = 4
HUNG = "did not come back"


def keep(case: Case, stem: Path) -> None:
    """Write a case to look at."""
    Path(f"{stem}{'_' if case.folder else ''}{case.suffix}").write_bytes(case.data)
    if case.weights is not None:
        Path(f"{stem}_weights.h5").write_bytes(case.weights)


class Child:
    """A process that examines one case after the other."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.trace = Path(self.folder.name) / "trace"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-m", "benchmarks.fuzz_child", str(self.trace), str(SECONDS - 5)],
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
        read = path
        if case.folder is not None:
            read = Path(self.folder.name) / case.folder.name
            shutil.rmtree(read, ignore_errors=True)
            shutil.copytree(case.folder, read)
            path = read / case.suffix
        path.write_bytes(case.data)
        if case.weights is not None:
            weights.write_bytes(case.weights)
        question = {"kind": case.kind, "path": str(read), "weights": None if case.weights is None else str(weights),
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
