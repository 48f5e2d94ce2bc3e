"""The terminal: colour, width, notices, and TensorFlow's chatter kept out of it."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from tempfile import TemporaryFile

from porter.errors import AccessError, UsageError
from porter.formats.opened import os_reason
from porter.progress import listening, tell

PIPE_WIDTH = 100
PATIENCE, TICK = 2.0, 0.2
"""Seconds: how long nothing is said, and how often what is said is renewed."""


def in_color() -> bool:
    """Whether standard output takes colour: a terminal, and no NO_COLOR (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the terminal; a fixed number for a pipe, so that the output does not depend on the window."""
    return shutil.get_terminal_size((PIPE_WIDTH, 24)).columns if sys.stdout.isatty() else PIPE_WIDTH


def notice(text: str) -> None:
    """A line for the user, apart from the data."""
    print(text, file=sys.stderr)


def write(text: str) -> None:
    """Data to standard output, all of it.

    Raises:
        AccessError: it cannot be written: the disk is full, or nobody reads on.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up_stdout()
        raise AccessError("standard output cannot be written", found=os_reason(error)) from error


def _give_up_stdout() -> None:
    """Let what is still buffered go nowhere, or Python complains of it once more as it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def working(label: str, patience: float = PATIENCE) -> Iterator[None]:
    """Show what is being done, and for how long, where somebody is watching and it takes its time.

    Args:
        label: of the file.
        patience: seconds for which nothing is shown.
    """
    if not sys.stderr.isatty():
        yield
        return
    began, state, done = time.monotonic(), {"text": "reading", "shown": ""}, threading.Event()

    def show() -> None:
        while not done.wait(TICK):
            seconds = time.monotonic() - began
            if seconds >= patience:
                line = f"{label}: {state['text']} ({seconds:.0f} s)"[: shutil.get_terminal_size().columns - 1]
                sys.stderr.write(f"\r{line.ljust(len(state['shown']))}")
                sys.stderr.flush()
                state["shown"] = line

    shower = threading.Thread(target=show, daemon=True)
    shower.start()
    try:
        with listening(lambda text: state.update(text=text)):
            yield
    finally:
        done.set()
        shower.join()
        if state["shown"]:
            sys.stderr.write(f"\r{' ' * len(state['shown'])}\r")
            sys.stderr.flush()


def load_keras() -> None:
    """Import Keras without the lines that TensorFlow prints on every start, unless they are asked for.

    Raises:
        UsageError: Keras or its backend cannot be imported.
    """
    if "keras" in sys.modules:
        return
    tell("loading Keras")
    asked_for = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3") in ("0", "1", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not asked_for:  # what it says later on, in Python
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        with nullcontext() if asked_for else _held_back(), _uncollected():
            import keras  # noqa: F401
    except (ImportError, ValueError, AttributeError, OSError) as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise UsageError(
            f"Keras cannot be loaded with the backend {backend!r}",
            found=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}",
            remedy="install it (pip install tensorflow), or choose another one: KERAS_BACKEND",
        ) from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Spare the garbage collector what stays until the end anyway: over a third of the time of the import."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold back standard error, also of C++ code, which no setting of TensorFlow's silences before it is loaded."""
    sys.stderr.flush()
    with TemporaryFile() as held:
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except (ModuleNotFoundError, ValueError):
            raise  # what is missing, or not known, says so itself
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
