"""Which legacy program follows a network's family, run on the arrays exactly as stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import ModelSizeError, PorterError, ShapesError
from porter.formats.readers import FAMILIES, family_named
from porter.network import Network
from reference.limits import TooLargeError
from reference.operations.embedding import WordError
from reference.trace import LayerTrace, Program


def build_program(network: Network, *, dtype: Any = np.float64, **changes: Any) -> Program:
    """The legacy forward pass of a network.

    Args:
        network: as read; its declarations are handed on as plain data, for the program to interpret by itself.
        dtype: in which the arithmetic is done.
        changes: declarations to replace, for trying another reading.

    Raises:
        PorterError: no program for the network's family.
    """
    family = family_named(network.family)
    if family is None or family.program is None:
        known = [name for name, each in FAMILIES.items() if each.program is not None]
        raise PorterError(
            f"the network {network.name}",
            found=f"family {network.family!r}",
            expected=f"one with a program: {', '.join(known)}",
            remedy="register it: porter.formats.register(Family(..., program=...))",
        )
    return family.program(network, {"dtype": dtype, **changes})


def follow(network: Network, program: Program, feeds: Mapping[str, NDArray[Any]]) -> dict[str, LayerTrace]:
    """Every step of a network's program, whose file may have lied about what fits and what can be held.

    Args:
        network: of the program, for messages.
        program: as ``build_program`` made it.
        feeds: (rows, ...) by program input.

    Raises:
        ModelSizeError: a step would compute more numbers than are computed, or than there is memory for.
        ShapesError: a step cannot take what the one before gives, or looks up a word that its table does not have.
    """
    try:
        return program.trace(feeds)
    except (TooLargeError, MemoryError) as error:
        raise ModelSizeError(
            f"{network.source.path}: a layer computes more than can be held",
            found=str(error), remedy="the file is damaged or hostile, or the model needs a larger machine",
        ) from error  # fmt: skip
    except WordError as error:
        raise ShapesError(
            f"{network.source.path}: a table is asked for words that it does not have",
            found=str(error), expected="inputs of which the layers in front of the table make words of its own",
            remedy="give samples of the original software: the file does not say which numbers it takes",
        ) from error  # fmt: skip
    except (ValueError, IndexError, TypeError, ArithmeticError) as error:
        raise ShapesError(
            f"{network.source.path}: the layers do not fit each other",
            found=str(error), expected="each layer able to take what the one before gives",
            remedy="give samples of lengths that all layers take" if _is_open(network)
            else "the file is damaged: save the model again",
        ) from error  # fmt: skip


def _is_open(network: Network) -> bool:
    """Whether the file leaves the length of an input open, which is then the user's to choose."""
    return any(shape is None or None in shape for shape in network.row_shapes[0])
