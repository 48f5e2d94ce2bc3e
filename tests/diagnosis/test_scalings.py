"""What a port's scaling computes instead of the file's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from porter.diagnosis.scalings import explain_scaling
from reference.operations.scaling import Scaling

UNIT = 2.0**-24
LOW, HIGH = np.array([-1.0, 0.0, 10.0, 2.0]), np.array([1.5, 4.0, 11.0, 9.0])
FORWARD = Scaling("Norm_in", (), LOW, HIGH, "[-1,1]")
BACKWARD = Scaling("Norm_out", (), LOW - 1, HIGH + 1, "[-1,1]", True)
SPREAD = Scaling("Norm_in", (), LOW + 0.5, HIGH - LOW, "mean-std")


def port(affine, before=None, behind=None):
    """A scaling in float32, as a port would have it."""
    scale, offset = (part.astype(np.float32) for part in affine)

    def run(x):
        x = x.astype(np.float32)
        y = scale * (x if before is None else x[:, before]) + offset
        return y if behind is None else y[:, behind]

    return run


def explained(step, run, others=()):
    return explain_scaling(step, run, UNIT, others)


CHANGES = [
    ("scaling.missing", lambda step: (np.ones(4), np.zeros(4))),
    ("scaling.inverted", lambda step: replace(step, inverse=not step.inverse).affine),
    ("scaling.swapped", lambda step: replace(step, first=step.second, second=step.first).affine),
    ("scaling.repeated", lambda step: (step.affine[0] ** 2, step.affine[0] * step.affine[1] + step.affine[1])),
    ("scaling.range", lambda step: (step.affine[0], np.zeros(4))),
    ("scaling.range", lambda step: (step.affine[0], -step.affine[1])),
    ("scaling.range", lambda step: (step.affine[0] * [1, 1, 1.01, 1], step.affine[1])),
    ("scaling.range", lambda step: replace(step, rule="[0,1]").affine),
]


@pytest.mark.parametrize("step", [FORWARD, BACKWARD, SPREAD], ids=["in", "out", "mean-std"])
@pytest.mark.parametrize("index", range(len(CHANGES)))
def test_each_change_is_called_by_its_name(step, index):
    code, change = CHANGES[index]
    found = explained(step, port(change(step)))
    assert found.cause.code == code
    assert found.cause.layer == step.name
    assert found.explained


def test_the_range_of_the_other_step():
    found = explained(FORWARD, port(replace(BACKWARD, inverse=False).affine), (BACKWARD,))
    assert found.cause.code == "scaling.swapped"
    assert "Norm_out" in found.cause.message


@pytest.mark.parametrize(("step", "code"), [(FORWARD, "inputs.permuted"), (BACKWARD, "outputs.permuted")])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_columns_in_another_order(step, code, place):
    found = explained(step, port(step.affine, **{place: np.array([0, 2, 1, 3])}))
    assert found.cause.code == code
    assert "columns 1 and 2 are exchanged" in found.cause.message
    assert found.explained


def test_the_ranges_alone_in_another_order():
    scale, offset = FORWARD.affine
    order = [1, 0, 2, 3]
    found = explained(FORWARD, port((scale[order], offset[order])))
    assert found.cause.code == "scaling.range"
    assert "its ranges stand in another order, the columns do not: ranges 0 and 1 are exchanged" in found.cause.message
    assert found.explained


def test_one_wrong_column_whose_offset_all_but_cancels_leaves_the_step_affine():
    step = Scaling("Norm_in", (), np.array([-1.0 + 1e-7, 0.0]), np.array([1.0, 4.0]), "[-1,1]")
    scale, offset = step.affine
    found = explained(step, port((scale * [1.0, 1.01], offset)))
    assert found.cause.code == "scaling.range"
    assert "1 of 2 columns are scaled otherwise (the first: column 1" in found.cause.message
    bent = explained(step, lambda x: np.sign(x) * np.sqrt(np.abs(x)))
    assert bent.cause.message == "the step is not affine, column by column"


def test_a_column_of_its_own_is_named_with_its_figures():
    scale, offset = FORWARD.affine
    found = explained(FORWARD, port((scale * [1, 1, 1.5, 1], offset)))
    assert "1 of 4 columns are scaled otherwise (the first: column 2, 3 x + -21 for 2 x + -21)" in found.cause.message


@pytest.mark.parametrize("function", [np.tanh, lambda x: np.clip(x, 0, 1), lambda x: x @ np.ones((4, 4)), np.square])
def test_what_is_not_affine_is_unexplained(function):
    found = explained(FORWARD, lambda x: function(x.astype(np.float32)))
    assert found.cause.code == "unexplained"
    assert not found.explained


def test_the_remedy_has_the_figures():
    assert "Rescaling" in explained(FORWARD, port((np.ones(4), np.zeros(4)))).cause.remedy


def test_a_wrong_column_beside_an_offset_of_about_zero():
    """The offset of a range about zero is what rounding leaves of it, and no line goes through such figures."""
    half, rounded_away = np.array([1e-3, 7.0, 300.0, 2.0]), np.array([3e-11, -2e-8, 0.0, 1e-9])
    step = Scaling("Norm_in", (), rounded_away - half, rounded_away + half, "[-1,1]")
    for column in range(4):
        for factor in (1.01, -1.0, 3.0):
            scale, offset = (part.copy() for part in step.affine)
            scale[column] *= factor
            found = explained(step, port((scale, offset)))
            assert found.cause.code == "scaling.range", (column, factor)
            assert f"1 of 4 columns are scaled otherwise (the first: column {column}" in found.cause.message
            assert found.explained


def test_a_column_that_is_constant():
    scale, offset = FORWARD.affine
    found = explained(FORWARD, port((scale * [1, 1, 0, 1], offset)))
    assert found.cause.code == "scaling.range"
    assert "1 of 4 columns are constant (the first: column 2)" in found.cause.message


def test_a_scaling_by_mean_and_deviation_is_not_called_one_of_a_uniform_range():
    scale, offset = SPREAD.affine
    message = explained(SPREAD, port((scale * [1, 1, 1.0001, 1], offset))).cause.message
    assert "uniform" not in message and "column 2" in message
