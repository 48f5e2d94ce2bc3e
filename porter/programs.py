"""Which legacy program follows a network's family, run on the arrays exactly as stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import ModelSizeError, PorterError, ShapesError
from porter.formats.scalings import physical_kind
from porter.network import Network
from reference.limits import TooLargeError
from reference.programs import oc_smart
from reference.trace import LayerTrace, Program


def _oc_smart(network: Network, changes: Mapping[str, Any]) -> Program:
    declared = {key: value for key, value in {**network.declarations, **changes}.items() if key in _OC_SMART_OPTIONS}
    if declared.get("physical"):
        declared["physical"] = physical_kind(network.source.path, network.declarations.get("kind"))
    return oc_smart.program(network.source.arrays, network.source.attributes, **declared)


_OC_SMART_OPTIONS = ("activation", "output_activation", "orientation", "scaling", "physical", "dtype")


def _keras_legacy(network: Network, changes: Mapping[str, Any]) -> Program:
    from porter.formats.keras_legacy.fields import reading
    from porter.formats.keras_legacy.graph import KerasNetwork
    from porter.keras_legacy.replace import as_array_functions
    from reference.programs import keras_legacy

    replaced = as_array_functions(network.replacements) if isinstance(network, KerasNetwork) else {}
    declared = {**network.declarations, **changes}
    chosen = {key: declared[key] for key in ("backend", "dtype") if key in declared}
    with reading(str(network.source.path)):
        return keras_legacy.program(network.source.arrays, network.source.attributes, replacements=replaced, **chosen)


PROGRAMS: dict[str, Callable[[Network, Mapping[str, Any]], Program]] = {
    "keras-legacy": _keras_legacy,
    "oc-smart": _oc_smart,
}


def build_program(network: Network, *, dtype: Any = np.float64, **changes: Any) -> Program:
    """The legacy forward pass of a network.

    Args:
        network: as read; its declarations are handed on as plain data, for the program to interpret by itself.
        dtype: in which the arithmetic is done.
        changes: declarations to replace, for trying another reading.

    Raises:
        PorterError: no program for the network's family.
    """
    if network.family not in PROGRAMS:
        raise PorterError(
            f"the network {network.name}", found=f"family {network.family!r}", expected=f"one of {', '.join(PROGRAMS)}"
        )
    return PROGRAMS[network.family](network, {"dtype": dtype, **changes})


def follow(network: Network, program: Program, feeds: Mapping[str, NDArray[Any]]) -> dict[str, LayerTrace]:
    """Every step of a network's program, whose file may have lied about what fits and what can be held.

    Args:
        network: of the program, for messages.
        program: as ``build_program`` made it.
        feeds: (rows, ...) by program input.

    Raises:
        ModelSizeError: a step would compute more numbers than are computed, or than there is memory for.
        ShapesError: a step cannot take what the one before gives.
    """
    try:
        return program.trace(feeds)
    except (TooLargeError, MemoryError) as error:
        raise ModelSizeError(
            f"{network.source.path}: a layer computes more than can be held",
            found=str(error), remedy="the file is damaged or hostile, or the model needs a larger machine",
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
    return any(each.shape is None or None in each.shape for each in getattr(network, "inputs", ()))
