"""Files looked at in a process of their own first: a damaged one can make HDF5 itself crash, or loop for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from porter.errors import UnreadableError

SECONDS = 30.0


class CrashedError(UnreadableError):
    """A file on which the HDF5 library crashed, or did not come back."""


def crash_error(file: Path, how: str) -> CrashedError:
    """The refusal of such a file."""
    return CrashedError(
        f"{file}: the HDF5 library {how} on it",
        expected="a file that it can read",
        remedy="the file is damaged or hostile: get it again from its source",
    )


def screen(files: Sequence[Path], seconds: float = SECONDS) -> dict[Path, str]:
    """Which of the files make the library crash or hang, and how; the others may be read in this process."""
    states = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file())
    return dict(_screen(states, seconds))


@lru_cache(maxsize=64)
def _screen(states: tuple[tuple[Path, int, int], ...], seconds: float) -> tuple[tuple[Path, str], ...]:
    waiting, found = [state[0] for state in states], []
    while waiting:
        done, how = _watch(waiting, seconds)
        waiting = waiting[done:]
        if how is None:
            break
        found.append((waiting.pop(0), how))
    return tuple(found)


def _watch(files: Sequence[Path], seconds: float) -> tuple[int, str | None]:
    """How many files one child came through, and what happened at the next, if anything."""
    done, hung = 0, threading.Event()
    command = [sys.executable, "-m", "porter.formats.isolation", f"{max(1, round(2 * seconds))}", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        while _comes_back(child, seconds, hung):
            done += 1
    if done >= len(files):
        return done, None
    return done, "did not come back" if hung.is_set() else f"crashed (status {child.returncode})"


def _comes_back(child: subprocess.Popen[str], seconds: float, hung: threading.Event) -> bool:
    """Whether the child says another file is done before its time is up."""

    def stop() -> None:
        hung.set()
        child.kill()

    timer = threading.Timer(seconds, stop)
    timer.start()
    try:
        return child.stdout is not None and child.stdout.readline() != ""
    finally:
        timer.cancel()


def _read(path: str) -> None:
    """Everything that a reader may touch, as it touches it."""
    from porter.formats.opened import open_file

    try:
        with open_file(path) as opened:
            if opened.is_hdf5:
                for name in opened.hdf5.stored_attributes:
                    _quietly(opened.hdf5.attribute, name)
                for name in opened.hdf5.datasets:
                    _quietly(opened.hdf5.read, name)
    except Exception:
        return


def _quietly(function: object, name: str) -> None:
    try:
        function(name)  # type: ignore[operator]
    except Exception:
        return


def serve(seconds: int, paths: Sequence[str]) -> None:
    """Read the files, and say of each that it is done."""
    for path in paths:
        # Ends it where nobody does, whoever started it being gone: the default action needs no Python to run.
        if hasattr(signal, "alarm"):
            signal.alarm(seconds)
        _read(path)
        print(path, flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
