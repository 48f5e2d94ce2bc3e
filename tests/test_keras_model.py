"""What build makes: Keras' own layers, the reference's numbers, and nothing of the user's settings changed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import porter
from porter.errors import UnbuildableError, UsageError
from porter.network import Dense, Network
from reference.activations import FUNCTIONS, Activation
from tests.networks import SOURCE, dense_layers, forward, small_network

pytestmark = pytest.mark.usefixtures("keras")

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
PARAMETERS = {
    "leaky_relu": {"negative_slope": 0.1},
    "relu": {"max_value": 2.0, "negative_slope": 0.25, "threshold": 0.5},
    "elu": {"alpha": 0.7},
    "scaled_tanh": {"amplitude": 1.5, "slope": 0.75},
}


def outputs(model, x):
    from keras import ops

    return np.asarray(ops.convert_to_numpy(model(x)), dtype=np.float64)


def rows(count=40, width=5, seed=1):
    return np.random.default_rng(seed).uniform(0.1, 3, size=(count, width))


def network_of(*layers):
    return Network("net", "oc-smart", SOURCE, tuple(layers))


@pytest.fixture(scope="module")
def build():
    from porter.ports.keras.build import build

    return build


@pytest.mark.parametrize("physical", [False, True])
@pytest.mark.parametrize("placement", ["inside", "folded", "outside"])
def test_float64_port_computes_the_legacy_formula(build, placement, physical):
    if physical and placement == "outside":
        return
    network = small_network(physical=physical)
    legacy = network.layers if placement != "outside" else network.layers[1:-1]
    model = build(network, placement=placement, dtype="float64")
    expected = forward(legacy, rows())
    # A few hundred float64 operations on values up to a hundred.
    np.testing.assert_allclose(outputs(model, rows()), expected, rtol=1e-13, atol=1e-13)


def test_a_transposed_kernel_would_be_seen(build):
    """Negative control of the comparison above."""
    network = small_network()
    layer = network.layers[2]
    wrong = replace(network, layers=(*network.layers[:2], replace(layer, kernel=layer.kernel.T), *network.layers[3:]))
    difference = outputs(build(wrong, dtype="float64"), rows()) - forward(network.layers, rows())
    assert np.max(np.abs(difference)) > 1e-3


@settings(max_examples=10)
@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    names=st.lists(st.sampled_from(["tanh", "relu", "sigmoid", "softsign", "selu", "scaled_tanh"]), min_size=4),
    seed=st.integers(0, 2**31),
)
def test_any_chain_in_float64(build, widths, names, seed):
    layers = dense_layers(widths, names[:4], seed)
    x = rows(width=widths[0])
    model = build(network_of(*layers), dtype="float64")
    np.testing.assert_allclose(outputs(model, x), forward(layers, x), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_lower_precisions_differ_by_their_rounding_and_no_more(build, dtype, keras):
    network = small_network()
    model = build(network, dtype=dtype)
    compute = keras.DTypePolicy(dtype).compute_dtype
    expected = forward(network.layers, rows())
    error = np.max(np.abs(outputs(model, rows()) - expected))
    # Four steps of at most seven terms of order one to ten: a generous multiple of the unit, yet far from a mistake's.
    assert 0 < error < 200 * UNIT[compute] * np.max(np.abs(expected))


def test_mixed_policies_keep_scaling_and_transforms_in_float32(build):
    model = build(small_network(physical=True), dtype="mixed_float16")
    computed_in = {layer.name: layer.compute_dtype for layer in model.layers}
    assert computed_in["Norm_in"] == computed_in["Transform_in"] == computed_in["Transform_out"] == "float32"
    assert computed_in["Layer2"] == "float16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.output.dtype == "float32"


def test_folded_mixed_port_leaves_half_precision_before_the_power_of_ten(build):
    model = build(small_network(physical=True), placement="folded", dtype="mixed_float16")
    assert model.output.dtype == "float32"


def test_flat_and_one_fused_dense_a_layer(build):
    model = build(small_network())
    assert [layer.name for layer in model.layers] == ["inputs", "Norm_in", "Layer1", "Layer2", "Layer3", "Norm_out"]
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Rescaling", "Dense", "Dense", "Dense", "Rescaling"]
    assert [layer.activation.__name__ for layer in model.layers[2:5]] == ["tanh", "tanh", "linear"]
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert model.name == "small"


def test_weights_are_the_stored_values_cast_once(build):
    network = small_network()
    model = build(network)
    kernel, bias = model.get_layer("Layer2").get_weights()
    np.testing.assert_array_equal(kernel, network.layer("Layer2").kernel.astype(np.float32))
    np.testing.assert_array_equal(bias, network.layer("Layer2").bias.astype(np.float32))


def test_a_layer_without_bias(build):
    layer = replace(dense_layers((3, 2), ("tanh",))[0], bias=None)
    model = build(network_of(layer), dtype="float64")
    assert not model.get_layer("Layer1").use_bias
    np.testing.assert_allclose(outputs(model, rows(width=3)), forward([layer], rows(width=3)), rtol=1e-14, atol=1e-15)


def test_an_activation_that_dense_layers_cannot_have_is_refused(build):
    with pytest.raises(UnbuildableError, match="thresholded_relu"):
        build(network_of(*dense_layers((3, 2), ("thresholded_relu",))))


@pytest.mark.parametrize("parameters", [{}, PARAMETERS], ids=["default", "own"])
@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "thresholded_relu"])
def test_every_activation_is_the_reference_and_reloads_exactly(build, tmp_path, name, parameters, keras):
    own = parameters.get(name, {})
    if parameters and not own:
        return
    layers = dense_layers((4, 5, 3), (Activation(name, own), "linear"))
    x = 4 * np.random.default_rng(0).normal(size=(200, 4))
    model = build(network_of(*layers), dtype="float64")
    expected, actual = forward(layers, x), outputs(model, x)
    # Inside Keras these two families take float32 constants also in float64.
    tolerance = 1e-7 if "gelu" in name or "relu" in name else 1e-13
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1, np.max(np.abs(expected))))
    model.save(tmp_path / "a.keras")
    reloaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(outputs(reloaded, x), actual)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_two_activations_agree(name):
    """Negative control: the tolerance above separates every pair of activations, even a table from its function."""
    x = np.linspace(-18, 18, 1801)[:, None]
    others = [FUNCTIONS[other](x) for other in FUNCTIONS if other != name]
    assert all(np.max(np.abs(FUNCTIONS[name](x) - other)) > 2e-7 for other in others)


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16", "bfloat16"])
@pytest.mark.parametrize("placement", ["inside", "folded"])
def test_the_saved_port_is_the_port(build, tmp_path, dtype, placement, keras):
    model = build(small_network(physical=True), placement=placement, dtype=dtype)
    model.save(tmp_path / "a.keras")
    reloaded = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(outputs(reloaded, rows()), outputs(model, rows()))


def test_the_users_settings_are_neither_read_nor_changed(build, keras):
    expected = outputs(build(small_network(), dtype="float64"), rows())
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(small_network(), dtype="float64")
        assert keras.config.floatx() == "float16"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        np.testing.assert_array_equal(outputs(model, rows()), expected)
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def test_the_second_build_has_the_first_ones_names(build):
    first, second = (build(small_network(physical=True)) for _ in range(2))
    assert [one.name for one in first.operations] == [one.name for one in second.operations]


def test_names_that_keras_would_refuse_are_made_legal_and_unique(build):
    names = ["inputs", "a b", "a/b", "_a"]
    layers = [replace(layer, name=name) for name, layer in zip(names, dense_layers([2] * 5, ["tanh"] * 4), strict=True)]
    model = build(network_of(*layers))
    assert [layer.name for layer in model.layers] == ["inputs", "inputs_1", "a_b", "a_b_1", "layer_a"]


def test_stored_values_beyond_the_dtype_become_infinite_without_a_word(build):
    layer = Dense("Layer1", np.full((1, 1), 1e6), None, Activation("linear"))
    assert np.isinf(build(network_of(layer), dtype="float16").get_weights()[0])


def test_an_unknown_dtype_lists_the_known(build):
    with pytest.raises(UsageError, match="one of float32, float64, mixed_float16"):
        build(small_network(), dtype="int8")


def test_parameters_that_keras_has_not(build):
    layers = dense_layers((3, 2), (Activation("selu", {"scale": 2.0}),))
    with pytest.raises(UnbuildableError, match=re.escape("selu(scale=2)")):
        build(network_of(*layers))


def test_an_unknown_kind_of_layer_names_itself_and_the_known(build):
    @dataclass(frozen=True)
    class Convolution:
        name: str = "conv1"

    layers = (*dense_layers((3, 2), ("tanh",)), Convolution())
    with pytest.raises(UnbuildableError, match="conv1") as caught:
        build(network_of(*layers))
    assert "a layer of type Convolution" in str(caught.value)
    assert "one of Dense, Scaling, Transform" in str(caught.value)


def test_an_unknown_transform_names_itself(build):
    network = small_network(physical=True)
    wrong = replace(network.layers[0], functions=("log2",) * 5)
    with pytest.raises(UnbuildableError, match="log2"):
        build(replace(network, layers=(wrong, *network.layers[1:])))


@pytest.mark.parametrize("placement", ["inside", "folded"])
@pytest.mark.parametrize("physical", [False, True])
def test_the_real_network_gives_what_the_original_software_gave(build, real, placement, physical):
    folder = real / "oc_smart"
    network = porter.read(folder / "PACE_Lrc_aaNN.h5", physical=physical)
    inputs, expected = original(folder, physical)
    actual = outputs(build(network, placement=placement, dtype="float64"), inputs)
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def original(folder, physical):
    """Inputs and outputs of the original software, in degrees and radiances or in the network's own units."""
    samples = np.load(folder / ("expected_physical.npz" if physical else "expected_network.npz"))
    if not physical:
        return samples["inputs"], samples["outputs"]
    columns = [samples[name] for name in ("solz", "senz", "relaz", "lrc", "rh")]
    return np.column_stack(columns), samples["aann_output"]
