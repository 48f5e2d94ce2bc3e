"""Do recorded inputs and outputs of the original Keras prove how its file is read?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from porter.errors import PorterError, SamplesShapeError
from porter.formats.options import ORIENTATIONS, RULES
from porter.formats.programs import build_program
from porter.formats.samples import Samples
from porter.network import Claim
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph import PortGraph
from porter.reading.arithmetic import Fit
from porter.reading.check import Question, Reading, judge_reading
from porter.reading.held import Held, hold
from porter.reading.readings import ALTERNATIVES, Formula, Other
from reference.operations.replacement import Replacement
from reference.precision import Precision
from reference.rounding.bounds import has_bound

BACKENDS = ("tensorflow", "theano")
SETTLED = frozenset({"keras", "backend"})
"""Where the file itself says it, there is no other reading, and samples confirm it."""
BY_RECIPE = frozenset({"orientation", "connections", "gain"})
"""The same where nothing else would fit the arrays' shapes."""


def check_legacy_reading(network: KerasNetwork, golden: Samples) -> Reading:
    """Judge how a legacy Keras file is read, by samples.

    Args:
        network: as read.
        golden: what the original gave.

    Raises:
        SamplesShapeError: inputs that the network cannot take.
    """
    formula = _formula(network)
    _check_inputs(network, formula, golden)
    steps = formula.program.steps
    provable = all(has_bound(step) and not isinstance(step, Replacement) for step in steps)
    settled = SETTLED | BY_RECIPE if "takes" in network.declarations else SETTLED
    question = Question(formula, network.claims, golden, None, lambda claim: _others(network, claim), settled, provable)
    return judge_reading(question, (other for claim in network.claims for other in _others(network, claim)))


def _formula(network: KerasNetwork, **changes: Any) -> Formula:
    return Formula(build_program(network, **changes), build_program(network, dtype=np.float32, **changes))


def _others(network: KerasNetwork, claim: Claim) -> list[Other]:
    """The file as another backend would run it; none where the file names its own. A recipe's layers otherwise."""
    if "takes" in network.declarations:
        return list(_by_another_recipe(network, claim))
    if claim.convention != "backend" or claim.value not in BACKENDS or network.source.attributes.get("backend"):
        return []
    values = [value for value in BACKENDS if value != claim.value]
    return [
        Other("backend", (claim.layer,), value, _formula(network, backend=value), f'backend="{value}"')
        for value in values
    ]


def _by_another_recipe(network: KerasNetwork, claim: Claim) -> Iterator[Other]:
    """One convention of one layer that a recipe says, read otherwise."""
    convention, values = claim.convention, list[str]()
    if convention == "gain":
        yield from _multiplied_otherwise(network, claim)
        return
    if convention == "connections":
        yield from _connected_otherwise(network, claim)
        return
    if convention == "activation":
        values = [value for value in ALTERNATIVES if value != claim.value]
    elif convention == "orientation" and len(set(network.source.arrays[f"Weights/{claim.layer}"].shape)) == 1:
        values = [value for value in ORIENTATIONS if value != claim.value]
    elif convention == "scaling" and claim.value != "none":
        deviations = network.source.arrays[claim.layer].reshape(-1, 2)[:, 1]
        rules = RULES[:3] if np.all(deviations > 0) else RULES[:2]
        values = [value for value in rules if value != claim.value]
    for value in values:
        changed: list[Any]
        if convention == "scaling":
            own = network.declarations.get("scaling")
            pair = [own, own] if own is None or isinstance(own, str) else list(own)
            changed = [value, pair[1]] if claim.layer == "Norm_in" else [pair[0], value]
        else:
            changed = list(network.declarations[convention])
            changed[int(claim.layer.removeprefix("Layer")) - 1] = value
        formula = _formula(network, **{convention: changed})
        yield Other(convention, (claim.layer,), value, formula, f"in the recipe, {convention} of {claim.layer}")


def _multiplied_otherwise(network: KerasNetwork, claim: Claim) -> Iterator[Other]:
    """Without a gain, or divided by it."""
    factors, place = list(network.declarations["factors"]), int(claim.layer.removeprefix("Gain")) - 1
    factor, divides = factors[place]
    for value, other in (("1", 1.0), (f"{'' if divides else '1 / '}{factor:.9g}", 1 / factor)):
        if other != factor:
            formula = _formula(network, factors=[*factors[:place], (other, divides), *factors[place + 1 :]])
            yield Other("gain", (claim.layer,), value, formula, f"in the recipe, what {claim.layer} multiplies by")


def _connected_otherwise(network: KerasNetwork, claim: Claim) -> Iterator[Other]:
    """One of those that a layer takes replaced by another that comes before it, or two of them in the other order."""
    place = int(claim.layer.removeprefix("Layer")) - 1
    takes = [list(each) for each in network.declarations["takes"]]
    tried = [[*takes[place][:at], other, *takes[place][at + 1 :]]
             for at in range(len(takes[place])) for other in range(place + 1) if other not in takes[place]]  # fmt: skip
    if network.declarations["merge"][place] == "concatenate":
        tried += [_swapped(takes[place], at) for at in range(len(takes[place]) - 1)]
    zeros = {each.name: np.zeros((1, *(size or 1 for size in each.shape or ()))) for each in network.inputs}
    for own in tried:
        formula = _formula(network, takes=[*takes[:place], own, *takes[place + 1 :]])
        try:
            formula.program(zeros)
        except ValueError:  # of another width
            continue
        names = ", ".join(f"layer {each}" if each else "inputs" for each in own)
        value = f"takes {names}{', ' + merge if (merge := network.declarations['merge'][place]) else ''}"
        yield Other("connections", (claim.layer,), value, formula, f"in the recipe, takes of {claim.layer}")


def _swapped(places: list[int], at: int) -> list[int]:
    return [*places[:at], places[at + 1], places[at], *places[at + 2 :]]


def _check_inputs(network: KerasNetwork, formula: Formula, golden: Samples) -> None:
    """One row tells whether the network takes such inputs at all."""
    row = {name: each[:1] for name, each in zip(formula.program.inputs, golden.inputs, strict=True)}
    try:
        with np.errstate(all="ignore"):
            formula.program(row)
    except PorterError:
        raise
    except (ValueError, IndexError, TypeError, ArithmeticError) as error:
        raise SamplesShapeError(
            f"golden samples {golden.path}: inputs do not fit the network",
            found=f"rows of {', '.join(str(each.shape[1:]) for each in golden.inputs)}",
            expected=f"rows that {network.name} can take",
            remedy=f"the reference says: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        ) from error


def hold_legacy(
    network: KerasNetwork, graph: PortGraph, golden: Samples, precisions: Mapping[str, Precision], fit: Fit | None
) -> Held | None:
    """Hold a port against samples; None where it gives other numbers each time, or cannot take them.

    Args:
        network: as read.
        graph: of the port.
        golden: what the original gave.
        precisions: of the port, by step.
        fit: of the samples to the reading.
    """
    from porter.examination.graphs.view import trains
    from porter.examination.graphs.whole import call_whole

    if trains(graph.model):
        return None
    fed = [each.astype(dtype) for each, dtype in zip(golden.inputs, graph.input_dtypes, strict=True)]
    found = [np.asarray(each).astype(np.float64) for each in call_whole(graph.model, fed)]
    program = build_program(network)
    return hold(program, golden, found, {step.name: precisions[step.name] for step in program.steps}, None, fit)
