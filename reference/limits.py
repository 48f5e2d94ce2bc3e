"""How much one step may compute: a file of a few bytes can ask for more numbers than any machine holds."""

from __future__ import annotations

import math

LARGEST = 2**28
"""Numbers in one array, all rows together: 2 GiB of float64."""
MOST_STEPS = 2**20
"""Time steps that a recurrent layer is carried along."""


class TooLargeError(ValueError):
    """A step that would compute more than ``LARGEST`` numbers, or be carried along more than ``MOST_STEPS`` steps."""


def check_size(what: str, *shape: int) -> None:
    """Refuse an array before it is made.

    Raises:
        TooLargeError: it would have more than ``LARGEST`` numbers.
    """
    if math.prod(shape) > LARGEST:
        raise TooLargeError(f"{what} of shape {shape}: {math.prod(shape):,} numbers, at most {LARGEST:,} are computed")


def check_steps(steps: int) -> None:
    """Refuse a sequence that would take for ever.

    Raises:
        TooLargeError: it has more than ``MOST_STEPS`` steps.
    """
    if steps > MOST_STEPS:
        raise TooLargeError(f"a sequence of {steps:,} time steps, at most {MOST_STEPS:,} are followed")
