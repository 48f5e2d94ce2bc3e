"""Do recorded inputs and outputs of the original Keras prove how its file is read?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from porter.errors import PorterError, SamplesShapeError
from porter.formats.programs import build_program
from porter.formats.samples import Samples
from porter.network import Claim
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph import PortGraph
from porter.reading.arithmetic import Fit
from porter.reading.check import Question, Reading, judge_reading
from porter.reading.held import Held, hold
from porter.reading.readings import Formula, Other
from reference.operations.replacement import Replacement
from reference.precision import Precision
from reference.rounding.bounds import has_bound

BACKENDS = ("tensorflow", "theano")
SETTLED = frozenset({"keras", "backend"})
"""Where the file itself says it, there is no other reading, and samples confirm it."""


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
    question = Question(formula, network.claims, golden, None, lambda claim: _others(network, claim), SETTLED, provable)
    return judge_reading(question, (other for claim in network.claims for other in _others(network, claim)))


def _formula(network: KerasNetwork, **changes: str) -> Formula:
    return Formula(build_program(network, **changes), build_program(network, dtype=np.float32, **changes))


def _others(network: KerasNetwork, claim: Claim) -> list[Other]:
    """The file as another backend would run it; none where the file names its own."""
    if claim.convention != "backend" or claim.value not in BACKENDS or network.source.attributes.get("backend"):
        return []
    values = [value for value in BACKENDS if value != claim.value]
    return [
        Other("backend", (claim.layer,), value, _formula(network, backend=value), f'backend="{value}"')
        for value in values
    ]


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
