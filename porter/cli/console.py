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
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from tempfile import TemporaryFile
from types import ModuleType

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

    Nothing is said where nobody reads on, as with ``porter verify ... | head``; the status says it.

    Raises:
        AccessError: it cannot be written: the disk is full.
        SystemExit: nobody reads on; status 2.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
        sys.exit(2)
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
    """Import Keras, or say why it cannot be.

    Raises:
        UsageError: Keras or its backend cannot be imported.
    """
    if "keras" in sys.modules:
        return
    tell("loading Keras")
    try:
        with _uncollected():
            import keras  # noqa: F401
    except (ImportError, ValueError, AttributeError, OSError) as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise UsageError(
            f"Keras cannot be loaded with the backend {backend!r}",
            found=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}",
            remedy="install it (pip install tensorflow), or choose another one: KERAS_BACKEND",
        ) from error


def quiet_tensorflow() -> None:
    """Let TensorFlow be imported without the lines that it prints on every start, unless they are asked for."""
    asked_for = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3") in ("0", "1", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not asked_for:
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # what it says later on, in Python
        sys.meta_path.insert(0, _Quiet())


class _Quiet(MetaPathFinder):
    """Finds TensorFlow as ever, whoever imports it first, and holds back standard error while it is loaded."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def quietly(module: ModuleType) -> None:
                with _held_back():
                    load(module)

            spec.loader.exec_module = quietly  # type: ignore[method-assign]
        return spec


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
