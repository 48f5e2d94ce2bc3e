"""How a port's bias came about from the arrays of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.examination.numbers import (
    describe_entries,
    describe_permutation,
    equal_within_ulp,
    match_vectors,
    rounded,
    rounding_rules,
)
from porter.examination.pasting import remade
from porter.examination.suspect import Suspect

Array = NDArray[Any]


@dataclass(frozen=True)
class BiasReading:
    """The explanation of a bias.

    Attributes:
        causes: what is wrong with it; empty where nothing is.
        source: name of the layer of the file whose numbers it holds, or None where none fits.
        tried: how many explanations were compared.
        exact: (units,) the numbers that it stands for, or None where entries are left over.
    """

    causes: tuple[Cause, ...]
    source: str | None
    tried: int
    exact: Array | None = None


def explain_bias(suspect: Suspect, columns: Array | None) -> BiasReading:
    """The explanation of the exposed bias.

    Args:
        suspect: the layer.
        columns: (units,) the order in which the kernel's columns stand, where they are permuted.
    """
    units = suspect.own.kernel.shape[1]
    own = np.zeros(units) if suspect.own.bias is None else suspect.own.bias
    found = np.zeros(units) if suspect.bias is None else suspect.bias
    wanted = own if columns is None else own[columns]
    tried = 0
    for tried, (code, message, source, candidate) in enumerate(candidates(suspect, own, wanted, found), start=1):
        if candidate.shape == found.shape and suspect.equal(found, candidate).all():
            causes = (Cause(code, suspect.name, message, _remedy(suspect)),) if code else ()
            return BiasReading(causes, source, tried, candidate)
    return BiasReading((_differs(suspect, own, wanted, found),), None, tried)


def _remedy(suspect: Suspect) -> str:
    if suspect.bias is None:
        again = remade(suspect.holder, {"use_bias": "True"}, weights=False)
        return f"{again}\n{suspect.assign('kernel', 'bias')}"
    return suspect.assign("bias")


def candidates(
    suspect: Suspect, own: Array, wanted: Array, found: Array
) -> Iterator[tuple[str, str, str | None, Array]]:
    """(code, message, source layer, values), the right one first."""
    yield "", "", suspect.name, wanted
    yield "", "", suspect.name, own
    if own.any() and not found.any():
        what = "the layer has no bias" if suspect.bias is None else "the bias is zero throughout"
        yield "bias.missing", f"{what}; the file has one", None, np.zeros_like(own)
    yield "bias.negated", "the bias has the opposite sign", suspect.name, -wanted
    for message, rule in rounding_rules(suspect.dtype) if suspect.is_shown else ():
        yield "bias.values", f"the bias was {message}", suspect.name, rule(wanted)
    for index, layer in enumerate(suspect.layers):
        if index != suspect.position and layer.bias is not None:
            yield "biases.swapped", f"the bias is that of {layer.name}", layer.name, layer.bias
    yield "bias.values", "the bias is added twice", suspect.name, 2 * wanted
    yield "bias.values", "the bias stands in reverse order", suspect.name, own[::-1]
    yield (
        "bias.values",
        "every entry of the bias is the first element of the stored array",
        None,
        np.full_like(own, own[0]),
    )


def _differs(suspect: Suspect, own: Array, wanted: Array, found: Array) -> Cause:
    order = match_vectors(found[:, None], own[:, None], partial(equal_within_ulp, dtype=suspect.dtype))
    if order is not None and np.array_equal(order[0], np.arange(len(found))):
        message = "the bias stands in the file's own order, and the kernel's units do not"
    elif order is not None:
        message = f"the bias stands in another order: {describe_permutation(order[0], 'entries')}"
    elif np.ptp(found) == 0 and found.size > 1:
        message = f"every entry of the bias is {found[0]:.6g}: a constant initializer that did not take the array"
    elif not own.any():
        message = "the port has a bias where the file has none"
    else:
        differs = ~suspect.equal(found, wanted)
        message = f"entries of the bias differ: {describe_entries(found, rounded(wanted, suspect.dtype), differs)}"
    return Cause("bias.values", suspect.name, message, _remedy(suspect))
