"""The terminal: colour, width, notices, and TensorFlow's chatter kept out of it."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

PIPE_WIDTH = 100


def in_color() -> bool:
    """Whether standard output takes colour: a terminal, and no NO_COLOR (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the terminal; a fixed number for a pipe, so that the output does not depend on the window."""
    return shutil.get_terminal_size((PIPE_WIDTH, 24)).columns if sys.stdout.isatty() else PIPE_WIDTH


def notice(text: str) -> None:
    """A line for the user, apart from the data."""
    print(text, file=sys.stderr)


def progress(text: str) -> None:
    """A line about what is being done, where somebody is watching."""
    if sys.stderr.isatty():
        notice(text)


def load_keras() -> None:
    """Import Keras without the lines that TensorFlow prints on every start; they are shown where the import fails."""
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_back(), _uncollected():
        import keras  # noqa: F401


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
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
