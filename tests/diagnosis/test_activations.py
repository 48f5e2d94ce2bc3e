"""Which function a port applies, told by what it gives on its own kernel and bias."""

from __future__ import annotations

import numpy as np
import pytest

from porter.diagnosis.activations import candidates, explain_activation, fitted
from porter.examination.suspect import Stored
from reference.activations import FUNCTIONS, Activation
from tests.diagnosis.suspects import codes, steps, suspect

NAMES = sorted(set(FUNCTIONS) - {"exponential"})


def explained(own, applied, **options):
    one = suspect(steps([(5, 8)], own), 0, activation=applied, **options)
    layer = Stored.of(one.step)
    return explain_activation(one, layer.kernel, layer.bias)


@pytest.mark.parametrize("name", NAMES)
def test_the_right_activation_has_no_cause(name):
    found = explained(name, None)
    assert found.causes == ()
    assert found.activation == Activation(name)
    assert found.comparison.is_parity


OTHERS = [(own, applied) for own in ("tanh", "relu", "linear", "sigmoid") for applied in NAMES if applied != own]


@pytest.mark.parametrize(("own", "applied"), OTHERS)
def test_every_other_activation_is_told(own, applied):
    found = explained(own, applied)
    code = (
        "activation.missing"
        if applied == "linear"
        else "activation.added"
        if own == "linear"
        else "activation.replaced"
    )
    assert codes(found.causes) == [code]
    assert found.activation.name == applied
    assert found.twins == ()
    assert found.comparison.is_parity


@pytest.mark.parametrize(
    ("own", "parameters", "applied"),
    [
        ("leaky_relu", {"negative_slope": 0.2}, {"negative_slope": 0.01}),
        ("leaky_relu", {"negative_slope": 0.2}, {"negative_slope": 0.123}),
        ("elu", {}, {"alpha": 0.5}),
        ("elu", {}, {"alpha": 0.77}),
        ("scaled_tanh", {}, {"amplitude": 1.7159, "slope": 1.0}),
        ("scaled_tanh", {}, {"amplitude": 2.0, "slope": 0.5}),
    ],
)
def test_another_parameter_is_told_and_read_off(own, parameters, applied):
    found = explained(Activation(own, parameters), Activation(own, applied))
    assert codes(found.causes) == ["activation.parameter"]
    for key, value in applied.items():
        assert found.activation.parameters[key] == pytest.approx(value, rel=1e-4)


def test_a_softmax_over_the_rows():
    found = explained("softmax", Activation("softmax", {"axis": 0}))
    assert codes(found.causes) in (["activation.parameter"], ["activation.replaced"])
    assert found.activation == Activation("softmax", {"axis": 0})


def test_tanh_written_by_sigmoid_is_tanh():
    found = explained("tanh", lambda z: 2 / (1 + np.exp(-2 * z)) - 1)
    assert found.causes == ()
    assert found.activation == Activation("tanh")


def test_a_table_is_called_an_approximation():
    grid = np.linspace(-10, 10, 4096)

    def table(z):
        return np.interp(z, grid, np.tanh(grid))

    (cause,) = explained("tanh", table).causes
    assert cause.code == "activation.replaced" and "approximated" in cause.message


def test_a_function_that_nobody_knows_is_not_called_another():
    found = explained("tanh", lambda z: np.sin(3 * z))
    assert found.activation is None
    assert not found.comparison.is_parity
    assert all("approximated" not in cause.message for cause in found.causes)


def test_with_wrong_weights_beside_no_activation_fits():
    """The activation is judged on the port's own kernel; given the file's it must not fit."""
    one = suspect(steps([(5, 8)]), 0, kernel=np.random.default_rng(3).normal(size=(5, 8)), activation="relu")
    layer = Stored.of(one.step)
    assert codes(explain_activation(one, one.kernel, one.bias).causes) == ["activation.replaced"]
    wrong = explain_activation(one, layer.kernel, layer.bias)
    assert wrong.activation is None or not wrong.comparison.is_parity


def test_candidates_come_once_and_never_the_own_one():
    own = Activation("tanh")
    found = [str(other) for other in candidates(own)]
    assert str(own) not in found
    assert len(found) == len(set(found))


def test_the_remedy_names_the_layer_and_the_activation():
    (cause,) = explained("tanh", "relu").causes
    assert 'get_layer("dense").activation = keras.activations.get("tanh")' in cause.remedy


def test_a_curve_beyond_all_bounds_is_fitted_in_silence():
    """Numbers whose ratios overflow give candidates that fit nothing, and no warning."""
    z = np.array([-2.0, -1e-2, 1e-2, 2.0])
    found = np.array([-1e300, -1e-300, 1e-300, 1e308])
    assert isinstance(fitted(z, found), list)
    slope = fitted(np.linspace(-3, 3, 41), np.where(np.linspace(-3, 3, 41) < 0, 0.37, 1) * np.linspace(-3, 3, 41))[0]
    assert slope.parameters == {"negative_slope": 0.37}
