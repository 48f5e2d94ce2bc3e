"""The forward pass of dense layers whose arrays bear names of any fashion: ``W1 b1``, ``fc1.weight``, ``coefs_0``.

A name is cut into words and numbers. The last word that is one for a kernel or for a bias says what the array is; the
rest says which layer's; of MATLAB's ``LW{2,1}`` the first number alone, the second being where it comes from. What
follows is OC-SMART's chain, which leaves the activations to what the file says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.operations.dense import Orientation
from reference.programs.declared import Declared
from reference.programs.oc_smart import chained_program
from reference.trace import Program

Array = NDArray[Any]
Key = tuple[Any, ...]

KERNELS = frozenset({"w", "weight", "weights", "kernel", "kernels", "coef", "coefs", "wgt", "wgts", "iw", "lw"})
MOST_TO_PERMUTE = 7
BIASES = frozenset({"b", "bias", "biases", "intercept", "intercepts"})


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    activation: Declared = None,
    output_activation: str | None = None,
    orientation: Declared = None,
    scaling: Declared = None,
    physical: str | None = None,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: stored name to stored array; kernels of two axes.
        attributes: what the file says of activations, by ``"object@name"``.
        activation: one spelling for all hidden layers, or a list for all layers, output included.
        output_activation: spelling for the last layer.
        orientation: ``"units-first"`` or ``"inputs-first"``, for all layers or a list; made out from shapes where None.
        scaling: of ``Norm_in`` and ``Norm_out``, where there are such.
        physical: kind of network whose physical transforms are added.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: the arrays do not make a network, or a declaration does not fit them.
    """
    kernels, biases = _sorted_out(arrays)
    if not kernels:
        raise ValueError(f"no kernel among {', '.join(arrays)}")
    order = _order(kernels, biases, arrays)
    names = [(kernels[key], biases.get(key)) for key in order]
    named = [_by_library(kernel) for kernel, _ in names]
    return chained_program(
        arrays, attributes, names, activation, output_activation, orientation, scaling, physical, dtype, named
    )


def _by_library(kernel: str) -> Orientation | None:
    """The orientation that a library defines for a kernel of such a name; None where the name is nobody's own."""
    path, sign, last = re.split(r":\d+$", kernel)[0].replace(".", "/.").rpartition("/")
    bare = last.removeprefix(".")
    in_lists = any(bracket in path for bracket in "[{(") or any(bracket in path for bracket in ")}]")
    suffixed = re.search(r":\d+$", kernel) is not None
    if re.fullmatch(r"coefs__*([0-9]+|\[[0-9]+\])", bare) and not suffixed:
        return "inputs-first"
    if bare == "kernel" and path and not in_lists:
        return "inputs-first"
    if bare == "w" and sign and not last.startswith(".") and re.fullmatch(r"linear(_\d+)?", path.rpartition("/")[2]):
        return "inputs-first"
    return "units-first" if last == ".weight" and path and not in_lists and not suffixed else None


def _sorted_out(arrays: Mapping[str, Array]) -> tuple[dict[Key, str], dict[Key, str]]:
    """Names of kernels and of biases, by what tells their layers apart."""
    kernels: dict[Key, str] = {}
    biases: dict[Key, str] = {}
    for name in arrays:
        plain = re.sub(r"(IW|LW)\{(\d+),\d+\}", r"\1\2", name.partition(":")[0])
        words = re.findall(r"[A-Za-z]+|\d+", plain)
        roles = [place for place, word in enumerate(words) if word.lower() in KERNELS | BIASES]
        if not roles:
            continue
        rest = words[: roles[-1]] + words[roles[-1] + 1 :]
        key = tuple((0, int(word)) if word.isdigit() else (1, word) for word in rest)
        (kernels if words[roles[-1]].lower() in KERNELS else biases)[key] = name
    return kernels, biases


def _order(kernels: Mapping[Key, str], biases: Mapping[Key, str], arrays: Mapping[str, Array]) -> Sequence[Key]:
    """By number where the names differ in nothing else; else as the shapes fit, or as TensorFlow counts names."""
    keys = sorted(kernels)
    if len({tuple(part if part[0] else "number" for part in key) for key in keys}) == 1:
        return keys
    every = itertools.permutations(keys) if len(keys) <= MOST_TO_PERMUTE else ()
    fitting = [order for order in every if _fits(order, kernels, biases, arrays)]
    counted = _counted(keys)
    if len(fitting) != 1 and counted and (counted in fitting or len(keys) > MOST_TO_PERMUTE):
        return counted
    if len(fitting) != 1:
        raise ValueError(f"the layers follow each other in {len(fitting)} orders")
    return fitting[0]


def _counted(keys: Sequence[Key]) -> tuple[Key, ...]:
    """By the number, repeated or not, that TensorFlow puts behind all names but the first; () for other names."""
    words = {tuple(part for part in key if part[0]) for key in keys}
    numbers = {key: {part[1] for part in key if not part[0]} for key in keys}
    if (
        len(words) > 1
        or any(len(each) > 1 for each in numbers.values())
        or len([k for k in keys if not numbers[k]]) != 1
    ):
        return ()
    return tuple(sorted(keys, key=lambda key: max(numbers[key], default=-1)))


def _fits(
    order: Sequence[Key], kernels: Mapping[Key, str], biases: Mapping[Key, str], arrays: Mapping[str, Array]
) -> bool:
    reached = set(arrays[kernels[order[0]]].shape)
    for key in order:
        first, second = arrays[kernels[key]].shape
        ways = {(first, second), (second, first)}
        units = arrays[biases[key]].size if key in biases else None
        reached = {end for start, end in ways if start in reached and units in (None, end)}
    return bool(reached)
