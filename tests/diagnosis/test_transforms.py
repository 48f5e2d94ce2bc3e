"""Which functions a port applies to physical units."""

from __future__ import annotations

import numpy as np
import pytest

from porter.diagnosis.transforms import IN_KERAS, OTHERS, explain_transform
from porter.ports.blocks import Atom, Block
from reference.operations.transforms import FUNCTIONS, Transform
from reference.precision import Precision

STEP = Transform("Transform_in", (), ("cos_degrees", "log10", "log10"))
INPUTS = np.random.default_rng(0).uniform([0, 0.01, 1], [90, 0.3, 100], (300, 3))


def explained(*functions, step=STEP):
    def run(x):
        with np.errstate(all="ignore"):
            return np.stack([OTHERS[name](x[:, i]) for i, name in enumerate(functions)], axis=1)

    precision = Precision("float64", "float64")
    block = Block((Atom(("transform",), "other", run, 0, 1, precision),), precision)
    return explain_transform(step, block, INPUTS)


@pytest.mark.parametrize(
    ("functions", "column", "other"),
    [
        (("cos of radians", "log10", "log10"), 0, "cos of radians"),
        (("sin_degrees", "log10", "log10"), 0, "sin_degrees"),
        (("cos_degrees", "ln", "log10"), 1, "ln"),
        (("cos_degrees", "log10", "log2"), 2, "log2"),
        (("cos_degrees", "log10", "log1p"), 2, "log1p"),
        (("cos_degrees", "identity", "log10"), 1, "identity"),
    ],
)
def test_another_function_is_named_with_its_column(functions, column, other):
    cause = explained(*functions)
    assert (cause.code, cause.layer) == ("transform.replaced", "Transform_in")
    assert f"column {column} is {IN_KERAS[other]}, for {IN_KERAS[STEP.functions[column]]}" in cause.message


def test_the_first_wrong_column_is_the_one_that_is_named():
    assert "column 1" in explained("cos_degrees", "ln", "ln").message


def test_another_function_behind_the_network():
    step = Transform("Transform_out", (), ("pow10",) * 3)
    assert (
        "column 0 is keras.ops.exp(x), for keras.ops.power(10.0, x)"
        in explained("exp", "exp", "exp", step=step).message
    )


def test_the_right_functions_are_not_called_others():
    """The negative control: nothing is blamed on a column."""
    assert "column" not in explained(*STEP.functions).message


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_of_the_reference_is_known(name):
    assert OTHERS[name] is FUNCTIONS[name]
