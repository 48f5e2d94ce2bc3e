"""A port's variables after it was called: put back bit by bit, and what had moved is told."""

from __future__ import annotations

import numpy as np
import pytest

from porter.ports.keras.state import preserved, take_snapshot


def moving(keras):
    x = keras.Input((3,))
    return keras.Model(x, keras.layers.BatchNormalization(name="bn")(x, training=True))


def test_what_a_call_moves_is_put_back(keras):
    model = moving(keras)
    before = [variable.numpy().copy() for variable in model.variables]
    with preserved(model) as snapshot:
        assert snapshot.moved == ()
        model(np.full((2, 3), 7.0, "float32"))
        assert snapshot.moved == ("bn/moving_mean", "bn/moving_variance")
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.variables, strict=True))


def test_it_is_put_back_where_the_call_breaks_down(keras):
    model = moving(keras)
    before = take_snapshot(model)
    with pytest.raises(RuntimeError), preserved(model):
        model(np.full((2, 3), 7.0, "float32"))
        raise RuntimeError
    assert before.moved == ()


def test_bits_count_and_not_values(keras):
    model = moving(keras)
    mean = model.get_layer("bn").moving_mean
    mean.assign(np.array([0.0, np.nan, 1.0]))
    snapshot = take_snapshot(model)
    mean.assign(np.array([0.0, np.nan, 1.0]))
    assert snapshot.moved == ()
    mean.assign(np.array([-0.0, np.nan, 1.0]))
    assert snapshot.moved == ("bn/moving_mean",)
