"""Mutate legacy Keras files and read them: nothing may come out but porter's own errors.

    python benchmarks/keras_fuzz.py FOLDER --mutations 50000 [--seed 0] [--jobs 2]

Each child process reads many mutations under limits of time and memory, and opens no file but the one it is given
(an audit hook refuses). A child that dies or hangs is replaced, its mutation written out and counted apart: libhdf5
itself does that now and then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 20
GIBIBYTES = 4
LARGEST = 400_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mutations", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="where mutations that killed a child are written")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work()
    counts = fuzz(arguments.folder, arguments.mutations, arguments.seed, arguments.jobs, arguments.keep)
    print(json.dumps(dict(counts.most_common()), indent=1))
    return 1 if any(key.startswith("DEFECT") for key in counts) else 0


def seeds(folder: Path) -> list[Path]:
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in (".h5", ".hdf5", ".json")]
    return [path for path in found if path.stat().st_size < LARGEST and path.name != "MANIFEST.json"]


def fuzz(folder: Path, mutations: int, seed: int, jobs: int, keep: Path | None = None) -> Counter[str]:
    counts: Counter[str] = Counter()
    lock, files = threading.Lock(), seeds(folder)

    def serve(number: int) -> None:
        child: Child | None = None
        for index in range(number, mutations, jobs):
            draw = random.Random(f"{seed}/{index}")
            path = draw.choice(files)
            data = mutate(path.read_bytes(), draw, path.suffix == ".json")
            child = child if child is not None and child.alive else Child(path.suffix)
            told = child.ask(data, path.suffix)
            with lock:
                counts[told] += 1
                done = sum(counts.values())
                if keep is not None and told.startswith(("CHILD", "DEFECT")):
                    (keep / f"{seed}_{index}{path.suffix}").write_bytes(data)
                if done % 50 == 0:
                    sys.stderr.write(f"\r{done}/{mutations}")
        if child is not None:
            child.stop()

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stderr.write("\n")
    return counts


def mutate(data: bytes, draw: random.Random, is_text: bool) -> bytes:
    """A few bytes or tokens changed, a piece cut, copied or moved."""
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if not out:
            break
        place = draw.randrange(len(out))
        how = draw.randrange(7)
        if how == 0:
            out[place] ^= 1 << draw.randrange(8)
        elif how == 1:
            out[place] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
        elif how == 2:
            del out[place : place + draw.randrange(1, 64)]
        elif how == 3:
            piece = out[place : place + draw.randrange(1, 64)]
            at = draw.randrange(len(out))
            out[at : at + len(piece)] = piece
        elif how == 4:
            out[place:place] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 8)))
        elif how == 5:
            swap_token(out, draw)
        elif not is_text or draw.random() < 0.1:
            del out[place:]
    if not is_text and draw.random() < 0.9:
        # A file of another length is mostly refused for that alone.
        out = (out + bytes(max(0, len(data) - len(out))))[: len(data)]
    return bytes(out)


TOKENS = (b"null", b"-1", b"1e999", b"[]", b"{}", b'"x"', b"true", b"999999999999", b"0", b'"Lambda"', b"NaN")


def swap_token(out: bytearray, draw: random.Random) -> None:
    """One JSON value for another, wherever the file holds JSON."""
    colons = [at for at in range(0, len(out) - 1) if out[at : at + 2] == b": "][:5000]
    if colons:
        at = draw.choice(colons) + 2
        end = at
        while end < len(out) and out[end] not in b",]}\n":
            end += 1
        out[at:end] = draw.choice(TOKENS).ljust(end - at) if end - at < 64 else draw.choice(TOKENS)


class Child:
    """A process that reads one mutation after the other."""

    def __init__(self, suffix: str) -> None:
        del suffix
        self.folder = tempfile.TemporaryDirectory()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, ".", "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment, preexec_fn=limit,  # noqa: PLW1509 - sets limits, and nothing else
        )  # fmt: skip

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, data: bytes, suffix: str) -> str:
        path = Path(self.folder.name) / f"mutation{suffix}"
        path.write_bytes(data)
        hung = threading.Event()

        def stop() -> None:
            hung.set()
            self.process.kill()

        timer = threading.Timer(SECONDS, stop)
        timer.start()
        try:
            self.process.stdin.write(f"{path}\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline().strip()
        except BrokenPipeError:
            line = ""
        timer.cancel()
        if line:
            return line
        status = self.process.wait()
        return "CHILD hung" if hung.is_set() else f"CHILD died with status {status}"

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTES << 30, GIBIBYTES << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def work() -> int:
    """In the child: a path a line in, what came of it a line out."""
    import numpy as np

    import porter
    from porter.programs import build_program

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warm_up(porter, build_program, np)
    given: dict[str, Any] = {"path": None}
    opened: list[str] = []

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and given["path"] is not None and str(arguments[0]) != given["path"]:
            # Python's own modules, loaded late, are no concern.
            if not str(arguments[0]).endswith((".py", ".pyc", ".so")) and not isinstance(arguments[0], int):
                opened.append(f"{arguments[0]} from {sys._getframe(1).f_code.co_filename}")
        elif event in (
            "subprocess.Popen",
            "os.system",
            "os.exec",
            "socket.connect",
            "marshal.loads",
            "pickle.find_class",
        ):
            opened.extend([event] if given["path"] is not None and event != "marshal.loads" else [])

    sys.addaudithook(audit)
    for line in sys.stdin:
        given["path"] = line.strip()
        opened.clear()
        told = read_one(given["path"], porter, build_program)
        given["path"] = None
        answers.write((f"DEFECT opened {opened[0]}" if opened else told).replace("\n", " ") + "\n")
        answers.flush()
    return 0


def warm_up(porter: Any, build_program: Any, np: Any) -> None:
    """Load what is loaded at first use, before the hook watches."""
    import porter.formats.hdf5

    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write('{"class_name": "Sequential", "config": [{"class_name": "Flatten", "config": {"name": "f"}}]}')
        file.flush()
        build_program(porter.read(file.name))(np.zeros((1, 2)))


def read_one(path: str, porter: Any, build_program: Any) -> str:
    try:
        network = porter.read(path, backend=None)
    except porter.PorterError as error:
        return f"{type(error).__name__}"
    except MemoryError:
        return "DEFECT MemoryError"
    except BaseException as error:
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"DEFECT {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {str(error)[:80]}"
    try:
        if network.has_weights:
            build_program(network)
    except porter.PorterError as error:
        return f"read, then {type(error).__name__}"
    except BaseException as error:
        import traceback

        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"DEFECT program {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {str(error)[:80]}"
    return "read"


if __name__ == "__main__":
    raise SystemExit(main())
