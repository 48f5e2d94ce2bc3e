"""A trunk holds the arrays of the file, proven; and one that does not is refused."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import UsageError
from porter.learning.errors import TrunkError
from porter.learning.freezing import frozen_layers
from porter.learning.trunk import prove_arrays


def test_a_trunk_is_frozen_proven_and_computes_the_layers_of_the_port(keras, mixed):
    trunk = porter.trunk(mixed, until="Layer3")
    assert frozen_layers(trunk) == ("Layer1", "Layer2", "Layer3") and not trunk.trainable_weights
    proofs = prove_arrays(trunk, mixed)
    assert [(one.layer, one.weight, one.stored, one.how) for one in proofs[:2]] == [
        ("Layer1", "kernel", "Weights/Layer1", "transposed"),
        ("Layer1", "bias", "Bias/Layer1", "reshaped"),
    ]
    assert sum(one.numbers for one in proofs) == trunk.count_params()
    port = porter.build(mixed)
    rows = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    whole = keras.Model(port.inputs[0], port.get_layer("Layer3").output)
    assert np.array_equal(trunk(rows), whole(rows))


def test_the_port_that_it_is_taken_from_is_left_as_it_is(keras, mixed):
    port = porter.build(mixed)
    trunk = porter.trunk(port, until="Layer2", legacy=mixed)
    assert all(layer.trainable for layer in port.layers if layer.weights)
    trunk.get_layer("Layer1").set_weights([np.zeros((7, 20)), np.zeros(20)])
    assert np.any(port.get_layer("Layer1").get_weights()[0])


def test_weights_that_were_never_loaded_are_found_out(keras, mixed):
    """Loading by name that loads nothing: the layers are there, with what their initializers gave them."""
    port = porter.build(mixed)
    fresh = keras.models.clone_model(port)
    with pytest.raises(TrunkError, match="kernel of layer 'Layer1' is not the file's"):
        porter.trunk(fresh, until="Layer3", legacy=mixed)
    one = keras.models.clone_model(port)
    one.set_weights(port.get_weights())
    kernel, bias = one.get_layer("Layer2").get_weights()
    kernel[4, 5] = np.nextafter(kernel[4, 5], np.float32(9))
    one.get_layer("Layer2").set_weights([kernel, bias])
    with pytest.raises(TrunkError, match="1 of 320 numbers that differ from Weights/Layer2"):
        porter.trunk(one, until="Layer3", legacy=mixed)
    assert porter.trunk(one, until="Layer1", legacy=mixed).count_params() == 160


def test_zeros_are_not_taken_for_any_zeros_of_the_file(keras, mixed):
    """A constant array is found under the name of its layer alone."""
    port = porter.build(mixed)
    kernel, _ = port.get_layer("Layer1").get_weights()
    port.get_layer("Layer1").set_weights([kernel, np.zeros(20)])
    with pytest.raises(TrunkError, match="bias of layer 'Layer1'"):
        prove_arrays(port, mixed)


def test_a_folded_port_has_no_arrays_of_the_file(keras, fixtures):
    with pytest.raises(TrunkError, match="Layer1"):
        porter.trunk(fixtures / "ocean_7-100-75-50-25-7.h5", until="Layer2", placement="folded")


def test_no_such_layer(keras, mixed):
    with pytest.raises(UsageError, match="one of inputs, Norm_in, Layer1"):
        porter.trunk(mixed, until="Layer33")


def test_a_new_head_on_a_trunk_learns_and_the_trunk_stays(keras, mixed, matchups):
    x, y = matchups(120)
    trunk = porter.trunk(mixed, until="Layer3")
    model = keras.Sequential([keras.Input((7,)), trunk, keras.layers.Dense(2, name="head")])
    tuned = porter.finetune(model, (x, y[:, :2]), epochs=2)
    assert tuned.frozen == ("trunk/Layer1", "trunk/Layer2", "trunk/Layer3") and tuned.moved == ()
    assert {change.layer for change in tuned.report.changes if change.verdict == "moved"} == {"head"}
    assert len(prove_arrays(trunk, mixed)) == 6
    unfrozen = porter.finetune(model, (x, y[:, :2]), epochs=2, freeze="until:trunk/Layer2", learning_rate=1e-3)
    assert unfrozen.frozen == ("trunk/Layer1", "trunk/Layer2")
    with pytest.raises(TrunkError, match="Layer3"):
        prove_arrays(trunk, mixed)
