"""One step against one piece of a port, both fed with the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from porter.examination import judging
from porter.examination.judging import cast, judge, judge_values, port_rows
from reference.activations import Activation
from reference.operations.dense import Dense
from reference.precision import Precision

FLOAT32, FLOAT16 = Precision("float32", "float32"), Precision("float16", "float32")
RNG = np.random.default_rng(0)
STEP = Dense("Layer1", (), RNG.normal(size=(3, 4)), RNG.normal(size=3), Activation("tanh"))


def port(dtype, spoil=0.0):
    """The step in another dtype."""
    kernel, bias = STEP.weights.T.astype(dtype), STEP.bias.astype(dtype)

    def run(x):
        return np.tanh(x.astype(dtype) @ kernel + bias) + np.asarray(spoil, dtype)

    return run


def test_a_faithful_piece_agrees_and_another_does_not():
    rows = RNG.normal(size=(50, 4))
    assert judge(STEP, port("float32"), rows, FLOAT32).is_parity
    found = judge(STEP, port("float32", 1e-5), rows, FLOAT32, "probes")
    assert not found.is_parity
    assert found.where.startswith("probes, row ")
    assert judge(STEP, port("float32", 1e-5), rows, FLOAT16).is_parity


def test_both_sides_get_the_rows_as_the_port_rounds_them():
    fed = []

    def run(x):
        fed.append(x)
        return port("float32")(x)

    rows = np.full((2, 4), 1 + 1e-9)
    assert judge(STEP, run, rows, FLOAT32).is_parity
    assert fed[0].dtype == np.float32 and (fed[0] == 1).all()


def test_rows_go_in_blocks(monkeypatch):
    monkeypatch.setattr(judging, "BLOCK_ROWS", 8)
    sizes = []

    def run(x):
        sizes.append(len(x))
        return port("float32")(x)

    found = judge(STEP, run, RNG.normal(size=(20, 4)), FLOAT32)
    assert sizes == [8, 8, 4]
    assert found.elements == 60


def test_nothing_is_no_parity():
    assert not judge(STEP, port("float32"), np.zeros((0, 4)), FLOAT32).is_parity


@pytest.mark.parametrize(
    ("dtype", "value", "held"),
    [
        ("float64", 1 + 1e-12, 1 + 1e-12),
        ("float32", 1 + 1e-12, 1.0),
        ("float16", 1 + 2.0**-12, 1.0),
        ("bfloat16", 1 + 2.0**-9, 1.0),
        ("float16", 1e6, np.inf),
    ],
)
def test_casting(dtype, value, held):
    found = cast(np.array([value]), dtype)
    assert found.tolist() == [held]
    assert found.dtype == ("float64" if dtype == "float64" else "float32")


def test_a_tensor_of_more_axes_becomes_rows():
    assert port_rows(np.zeros((5, 1, 4)), FLOAT32).shape == (5, 4)


def test_what_overflowed_before_the_layer_is_not_the_layers_mistake():
    """An overflow that the layer before was excused for: infinity times a weight flushed to zero is no number."""
    step = Dense("Layer1", (), np.array([[1.0, 1e-9]]), np.zeros(1), Activation("tanh"))
    rows = np.array([[np.inf, np.inf], [0.5, 0.5]])
    actual = np.array([[np.nan], [np.tanh(0.5)]])
    found = judge_values(step, rows, actual, FLOAT16, "rows")
    assert found.is_parity
    assert (found.elements, found.inevitable) == (1, 1)
    assert not judge_values(step, rows[1:], np.array([[np.nan]]), FLOAT16, "rows").is_parity


def test_one_tiny_weight_does_not_make_the_bound_of_its_unit_useless():
    """What float16 flushes to zero is lost absolutely, not a share of the other weights."""
    step = Dense("Layer1", (), np.array([[1.0, 1e-9]]), np.zeros(1), Activation("tanh"))
    row = np.array([[0.5, 0.5]])
    assert judge_values(step, row, np.tanh(row[:, :1]), FLOAT16, "rows").is_parity
    assert not judge_values(step, row, np.tanh(row[:, :1]) + 0.01, FLOAT16, "rows").is_parity


def test_rows_are_numbered_through_the_blocks_they_are_judged_in(monkeypatch):
    monkeypatch.setattr(judging, "BLOCK_ELEMENTS", 8)
    monkeypatch.setattr(judging, "LEAST_ROWS", 4)
    step = Dense("a", ("inputs",), np.ones((1, 1)), np.zeros(1), Activation("linear"))
    rows = np.arange(30.0)[:, None]
    wrong = rows.copy()
    wrong[23] += 1
    found = judge_values(step, rows, wrong, FLOAT32, "rows", first_row=100)
    assert found.elements == 30 and found.exceeding == 1
    assert found.index == (123, 0) and found.where == "rows, row 123, unit 0"


def test_a_port_that_gives_another_number_of_rows_is_a_mismatch(monkeypatch):
    monkeypatch.setattr(judging, "LEAST_ROWS", 4)
    monkeypatch.setattr(judging, "BLOCK_ELEMENTS", 1)
    step = Dense("a", ("inputs",), np.ones((1, 1)), np.zeros(1), Activation("linear"))
    rows = np.arange(30.0)[:, None]
    for others in (rows[:-2], np.concatenate([rows, rows])):
        found = judge_values(step, rows, others, FLOAT32, "rows")
        assert not found.is_parity and "shape" in found.where
