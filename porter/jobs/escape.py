"""A port that raises what ends a program, and no error of Python's usual kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from porter.errors import PortError, first_line


@contextmanager
def no_escape() -> Iterator[None]:
    """Refuse a port whose own code raises ``SystemExit`` or the like; a person's Ctrl-C goes through.

    Raises:
        PortError: for everything that no ``except Exception`` catches, but KeyboardInterrupt.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PortError(
            "the port",
            found=f"when it is called it raises {type(error).__name__}: {first_line(error)}",
            expected="a port that can be called on rows of numbers, and gives numbers",
            remedy="take out what ends the program",
        ) from error
