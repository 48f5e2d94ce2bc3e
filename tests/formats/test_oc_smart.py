"""Conventions: what proves them, what contradicts them, and what is only assumed."""

import h5py
import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.scalings import KINDS, KINDS_WITH_ANGLES
from porter.network import Scaling, Transform
from tests.formats.files import kernels_and_biases, replace, write


def claim(network, layer, convention):
    (found,) = [c for c in network.claims if (c.layer, c.convention) == (layer, convention)]
    return found


def evidence(network, layer, convention):
    found = claim(network, layer, convention)
    return found.value, found.evidence


def assert_refused(error, path, **options):
    with pytest.raises(errors.PorterError) as caught:
        porter.read(path, **options)
    assert type(caught.value) is error, caught.value
    return str(caught.value)


def test_the_real_network(real):
    network = porter.read(real / "oc_smart" / "PACE_Lrc_aaNN.h5")
    assert network.widths == (111, 111, 57, 111, 107)
    assert network.source.sha256.startswith("06c47a3b8ae3b775")
    assert evidence(network, "Layer1", "orientation") == ("units-first", "assumed")
    assert "--samples" in claim(network, "Layer1", "orientation").detail
    for name in ("Layer2", "Layer3", "Layer4"):
        assert evidence(network, name, "orientation") == ("units-first", "shape")
    assert evidence(network, "network", "order")[1] == "shape"
    assert evidence(network, "Norm_in", "scaling") == ("[-1,1]", "assumed")
    assert network.declarations == {}


def test_the_real_network_reproduces_its_samples(real):
    """The canonical form computed in plain NumPy, apart from the reference's reading."""
    network = porter.read(real / "oc_smart" / "PACE_Lrc_aaNN.h5")
    with np.load(real / "oc_smart" / "expected_network.npz") as samples:
        values, expected = samples["inputs"], samples["outputs"]
    # Measured 1.3e-15: sums of 111 terms in four layers; Layer1 read the other way round is 2.7 off.
    assert np.abs(forward(network, values) - expected).max() < 1e-12
    with np.load(real / "oc_smart" / "expected_physical.npz") as samples:
        columns = [samples[name].reshape(512, -1) for name in ("solz", "senz", "relaz", "lrc", "rh")]
        expected_physical = samples["aann_output"]
    physical = porter.read(real / "oc_smart" / "PACE_Lrc_aaNN.h5", physical=True)
    np.testing.assert_allclose(forward(physical, np.concatenate(columns, axis=1)), expected_physical, rtol=3e-12)
    wrong = porter.read(real / "oc_smart" / "PACE_Lrc_aaNN.h5", orientation=["inputs-first", *["units-first"] * 3])
    assert np.abs(forward(wrong, values) - expected).max() > 1


def forward(network, values):
    functions = {"cos_degrees": lambda x: np.cos(np.deg2rad(x)), "log10": np.log10, "pow10": lambda x: 10.0**x}
    for layer in network.layers:
        if isinstance(layer, Scaling):
            values = layer.scale * values + layer.offset
        elif isinstance(layer, Transform):
            columns = [functions[name](values[:, i]) for i, name in enumerate(layer.functions)]
            values = np.stack(columns, axis=1)
        else:
            values = layer.activation(values @ layer.kernel + layer.bias)
    return values


def test_natural_order_with_twelve_layers(tmp_path):
    widths = (3, *range(13, 1, -1))
    network = porter.read(write(tmp_path / "net.h5", widths))
    assert network.widths == widths
    assert [layer.name for layer in network.dense_layers] == [f"Layer{n}" for n in range(1, 13)]
    assert evidence(network, "network", "order")[1] == "shape"


def test_square_layers_take_the_orientation_of_the_others(tmp_path):
    kernels, biases = kernels_and_biases((4, 4, 3))
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
            file[f"W/{number}"], file[f"b/{number}"] = kernel, bias
    network = porter.read(path)
    assert evidence(network, "Layer1", "orientation") == ("inputs-first", "assumed")
    assert evidence(network, "Layer2", "orientation") == ("inputs-first", "shape")
    np.testing.assert_array_equal(network.dense_layers[0].kernel, kernels[0])


def test_an_ambiguous_chain_is_assumed_and_stated_widths_prove_it(tmp_path):
    def without_biases(file):
        del file["Bias"]

    bare = porter.read(write(tmp_path / "bare.h5", (5, 3, 5), layers=False, norms=False, spoil=without_biases))
    assert evidence(bare, "Layer1", "orientation") == ("units-first", "assumed")
    assert "both ways round" in claim(bare, "Layer1", "orientation").detail
    assert bare.dense_layers[0].bias is None
    stated = porter.read(write(tmp_path / "stated.h5", (5, 3, 5), spoil=without_biases))
    assert evidence(stated, "Layer1", "orientation") == ("units-first", "shape")
    declared = porter.read(tmp_path / "bare.h5", orientation="inputs-first")
    assert declared.widths == (3, 5, 3)
    assert evidence(declared, "Layer1", "orientation") == ("inputs-first", "declared")


def test_declared_activations(tmp_path):
    path = write(tmp_path / "net.h5", (3, 4, 5, 2))
    network = porter.read(path, activation="LogSig", output_activation="leaky_relu(negative_slope=0.1)")
    assert [str(layer.activation) for layer in network.dense_layers] == [
        "sigmoid",
        "sigmoid",
        "leaky_relu(negative_slope=0.1)",
    ]
    assert {c.evidence for c in network.claims if c.convention == "activation"} == {"declared"}
    assert network.declarations == {
        "activation": "LogSig",
        "output_activation": "leaky_relu(negative_slope=0.1)",
    }
    listed = porter.read(path, activation=["relu", "tanh", "softmax"])
    assert [str(layer.activation) for layer in listed.dense_layers] == ["relu", "tanh", "softmax"]
    assert listed.declarations == {"activation": ["relu", "tanh", "softmax"]}


@pytest.mark.parametrize(("rule", "low", "high"), [("[-1,1]", -1.0, 1.0), ("[0,1]", 0.0, 1.0), ("mean-std", -1.0, 1.0)])
def test_scaling_rules(tmp_path, rule, low, high):
    network = porter.read(write(tmp_path / "net.h5"), scaling=rule)
    before, after = network.layer("Norm_in"), network.layer("Norm_out")
    ends = (-1.0, 3.0) if rule != "mean-std" else (-1.0 - 3.0, -1.0 + 3.0)
    assert [before.scale * end + before.offset for end in ends] == [pytest.approx([low] * 3), pytest.approx([high] * 3)]
    back = (2.0, 4.0) if rule != "mean-std" else (2.0 - 4.0, 2.0 + 4.0)
    assert [after.scale * end + after.offset for end in (low, high)] == [
        pytest.approx([back[0]] * 2),
        pytest.approx([back[1]] * 2),
    ]
    assert evidence(network, "Norm_in", "scaling") == (rule, "declared")
    span = (-10.0, 8.0) if rule == "mean-std" else (-1.0, 3.0)
    np.testing.assert_array_equal(network.input_range, [span] * 3)


def test_scaling_none_leaves_the_steps_out_and_says_so(tmp_path):
    network = porter.read(write(tmp_path / "net.h5"), scaling="none")
    assert [layer.name for layer in network.layers] == ["Layer1", "Layer2"]
    assert evidence(network, "Norm_out", "scaling") == ("none", "declared")
    assert network.input_range is None


def test_ranges_in_rows_or_columns(tmp_path):
    ranges = np.array([[0.0, 1.0, 2.0], [3.0, 5.0, 7.0]])
    network = porter.read(write(tmp_path / "net.h5", spoil=replace("Norm_in", ranges)))
    np.testing.assert_array_equal(network.input_range, ranges.T)
    assert evidence(network, "Norm_in", "range orientation")[1] == "shape"
    assert evidence(network, "Norm_out", "range orientation") == ("one row a column", "assumed")


def test_only_one_of_the_scalings(tmp_path):
    network = porter.read(write(tmp_path / "net.h5", spoil=replace("Norm_out", None)))
    assert [layer.name for layer in network.layers] == ["Norm_in", "Layer1", "Layer2"]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_by_file_name_and_by_option(tmp_path, kind):
    widths = (6, 4, 2)
    named = porter.read(write(tmp_path / f"PACE_Lrc_{kind}.h5", widths), physical=True)
    told = porter.read(write(tmp_path / "net.h5", widths), physical=True, kind=kind.lower())
    angles = 3 if kind in KINDS_WITH_ANGLES else 0
    for network, known in ((named, "assumed"), (told, "declared")):
        first, last = network.layers[0], network.layers[-1]
        assert first == Transform("Transform_in", ("cos_degrees",) * angles + ("log10",) * (6 - angles))
        assert last == Transform("Transform_out", ("pow10", "pow10"))
        assert claim(network, "Transform_in", "transform").evidence == known
        assert network.declarations == {"physical": True, "kind": kind}


def test_physical_ranges(tmp_path):
    ranges = np.array([[0.5, 1.0], [-1.0, 1.00001], [0.0, 0.5], [-2.0, 1.0]])
    path = write(tmp_path / "x_rrsNN.h5", (4, 3), spoil=replace("Norm_in", ranges))
    expected = [[0.0, 60.0], [0.0, 180.0], [60.0, 90.0], [0.01, 10.0]]
    np.testing.assert_allclose(porter.read(path, physical=True).input_range, expected, rtol=1e-12)


def test_no_transforms_without_physical(tmp_path):
    network = porter.read(write(tmp_path / "x_aaNN.h5", (6, 4, 2)), kind="aaNN")
    assert [layer.name for layer in network.layers] == ["Norm_in", "Layer1", "Layer2", "Norm_out"]


def nan(file):
    file["Weights/Layer2"][1, 2] = np.nan


def infinite(file):
    file["Norm_in"][1, 1] = np.inf


CONTRADICTIONS = [
    (replace("Layers", np.array([3, 5, 2])), errors.LayersError, "3 5 2"),
    (replace("Layers", np.array([3, 4])), errors.LayersError, "3 4 2 (inputs, then the units of each layer)"),
    (replace("Weights/Layer2", np.ones((2, 5))), errors.WidthError, "Layer2 (kernel 2 x 5, 2 biases) cannot follow"),
    (replace("Weights/Layer2", np.ones(8)), errors.KernelShapeError, "shape (8,)"),
    (replace("Weights/Layer2", np.ones((2, 0))), errors.KernelShapeError, "neither empty"),
    (replace("Bias/Layer2", np.ones(3)), errors.BiasShapeError, "2 or 4 values"),
    (replace("Bias/Layer1", np.ones((2, 2))), errors.BiasShapeError, "shape (2, 2)"),
    (replace("Norm_in", np.ones((4, 2))), errors.ScalingShapeError, "(3, 2)"),
    (replace("Norm_in", np.ones((3, 2))), errors.ScalingRangeError, "3 impossible range(s), the first in column 0"),
    (nan, errors.NonFiniteError, "1 of 8, the first (nan) at (1, 2)"),
    (infinite, errors.NonFiniteError, "'Norm_in'"),
    (replace("Weights/Layer1", np.ones((4, 3), "i4")), errors.StoredTypeError, "int32"),
]


@pytest.mark.parametrize(("spoil", "kind", "says"), CONTRADICTIONS)
def test_arrays_that_contradict_each_other(tmp_path, spoil, kind, says):
    path = write(tmp_path / "net.h5", spoil=spoil)
    message = assert_refused(kind, path)
    assert says in message
    assert str(path) in message


OPTIONS = [
    ({"orientation": "inputs-first"}, errors.OptionContradictionError, "its shape says otherwise"),
    ({"orientation": ["units-first"]}, errors.ListLengthError, "2, one for each layer"),
    ({"orientation": "rows"}, errors.UnknownOrientationError, "'units-first' or 'inputs-first'"),
    ({"activation": ["tanh"]}, errors.ListLengthError, "list of 1"),
    ({"activation": "tahn"}, errors.UnknownActivationError, "softsign"),
    ({"activation": "elu(slope=1)"}, errors.UnknownActivationError, "alpha=NUMBER"),
    ({"activation": ["tanh", "linear"], "output_activation": "tanh"}, errors.OptionContradictionError, "list"),
    ({"scaling": "minmax"}, errors.UnknownScalingError, "'[-1,1]', '[0,1]', 'mean-std', 'none'"),
    ({"kind": "xxNN"}, errors.UnknownKindError, "aodNN"),
    ({"physical": True}, errors.UnknownKindError, "--kind aaNN"),
    ({"physical": True, "kind": "aaNN"}, errors.UnknownKindError, "3 angles, and at least one more"),
]


@pytest.mark.parametrize(("options", "kind", "says"), OPTIONS)
def test_options_that_cannot_be_meant(tmp_path, options, kind, says):
    assert issubclass(kind, errors.UsageError)
    assert says in assert_refused(kind, write(tmp_path / "net.h5"), **options)


def test_a_scaling_without_ranges(tmp_path):
    path = write(tmp_path / "net.h5", norms=False)
    assert "no ranges to scale by" in assert_refused(errors.OptionContradictionError, path, scaling="[0,1]")
    assert [layer.name for layer in porter.read(path, scaling="none").layers] == ["Layer1", "Layer2"]


def test_a_reader_is_registered_once_and_a_miss_lists_what_exists(tmp_path):
    from porter.formats.readers import FAMILIES, register

    with pytest.raises(ValueError, match="'oc-smart' is registered already"):
        register(FAMILIES["oc-smart"])
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["net/dense/matrix"] = np.ones((2, 2))
    message = assert_refused(errors.UnknownFormatError, path)
    assert "'net/dense/matrix'" in message
    assert all(f"{name}: " in message for name in FAMILIES)
    assert "--recipe" in message


def test_a_file_that_no_recipe_can_help_is_not_sent_to_one(tmp_path):
    path = tmp_path / "net.txt"
    path.write_text("#planes=4 3 5\n1.0\n")
    message = assert_refused(errors.UnknownFormatError, path)
    assert "it begins with b'#planes=" in message
    assert "--recipe" not in message
