"""Kernels and biases under names of any fashion, in HDF5 and .npz, and activations that a file itself names."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from scipy.io import savemat

import porter
from porter.errors import (
    ArchiveFileError,
    DamagedFileError,
    DuplicateMemberError,
    MissingMemberError,
    StoredTypeError,
    UnknownMemberError,
    WidthError,
)
from porter.formats.programs import build_program
from tests.formats.families import forward, weights
from tests.formats.files import write

WIDTHS = (5, 8, 6, 2)
NAMINGS = [
    ("W{}", "b{}"),
    ("w_{}", "b_{}"),
    ("coefs_{}", "intercepts_{}"),
    ("fc{}.weight", "fc{}.bias"),
    ("net.{}.weight", "net.{}.bias"),
    ("fc{}/weight", "fc{}/bias"),
    ("model/Weights/Layer{}", "model/Bias/Layer{}"),
    ("dense_{0}/dense_{0}/kernel:0", "dense_{0}/dense_{0}/bias:0"),
    ("layer{}_w", "layer{}_b"),
    ("hidden-weights-{}", "hidden-bias-{}"),
]


@pytest.fixture
def drawn():
    return weights(WIDTHS)


def write_hdf5(path, arrays, **attributes):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        for name, value in attributes.items():
            file.attrs[name] = value
    return path


def named(drawn, kernel, bias, *, transposed=False, first=7):
    """Numbered from 7, so that the tenth comes behind the ninth by number and not by letter."""
    found = {}
    for number, (matrix, vector) in enumerate(zip(*drawn, strict=True), start=first):
        found[kernel.format(number + 1)] = matrix.T if transposed else matrix
        found[bias.format(number + 1)] = vector
    return found


def relu(z):
    return np.maximum(z, 0)


@pytest.mark.parametrize("naming", NAMINGS, ids=lambda names: names[0])
@pytest.mark.parametrize("suffix", [".h5", ".npz"])
@pytest.mark.parametrize("transposed", [False, True])
def test_unambiguous_names_are_read(tmp_path, drawn, naming, suffix, transposed):
    arrays, path = named(drawn, *naming, transposed=transposed), tmp_path / f"net{suffix}"
    np.savez(path, **arrays) if suffix == ".npz" else write_hdf5(path, arrays)
    network = porter.read(path, activation="relu")
    x = np.random.default_rng(0).normal(size=(20, 5))
    wanted = forward(drawn, (relu, relu, lambda z: z), x)
    np.testing.assert_allclose(build_program(network)(x)[0], wanted, rtol=0, atol=1e-13)
    assert (network.family, network.widths) == ("arrays", WIDTHS)
    assert {claim.evidence for claim in network.claims if claim.convention != "activation"} == {"shape"}


def test_what_nothing_says_is_a_guess(tmp_path, drawn):
    network = porter.read(write_hdf5(tmp_path / "net.h5", named(drawn, "W{}", "b{}")))
    claims = {(claim.layer, claim.convention): claim for claim in network.claims}
    assert claims["Layer1", "activation"].evidence == "assumed"
    assert "a guess, for nothing says it" in claims["Layer1", "activation"].detail


def test_layers_of_other_names_are_put_in_the_one_order_in_which_they_chain(tmp_path, drawn):
    kernels, biases = drawn
    stems = ("zero", "middle", "after")
    arrays = {f"{stem}.{part}": array for part, each in (("weight", kernels), ("bias", biases))
              for stem, array in zip(stems, each, strict=True)}  # fmt: skip
    network = porter.read(write_hdf5(tmp_path / "net.h5", arrays))
    assert network.widths == WIDTHS
    np.testing.assert_array_equal(network.layer("Layer1").kernel, kernels[0].T)
    square = {
        "first.weight": np.eye(3) * 2,
        "first.bias": np.ones(3),
        "other.weight": np.eye(3),
        "other.bias": np.ones(3),
    }
    with pytest.raises(UnknownMemberError, match="in which order"):
        porter.read(write_hdf5(tmp_path / "square.h5", square))


# --- activations that the file names ----------------------------------------------------------------------------------


def spelt(network):
    claims = [claim for claim in network.claims if claim.convention == "activation"]
    return [(claim.value, claim.evidence, claim.detail) for claim in claims]


DECLARED = ("declared", "declared by the file")


@pytest.mark.parametrize(
    "attributes",
    [
        {"activations": ["relu", "sigmoid", "linear"]},
        {"activations": "relu, sigmoid"},
        {"@Weights/Layer1@activation": "relu", "@Weights/Layer2@activation": "sigmoid"},
        {"@Bias/Layer1@Activation": "relu", "@Weights/Layer2@activation_function": np.bytes_("sigmoid")},
        {"activation": "relu", "@Weights/Layer2@activation": "sigmoid"},
    ],
    ids=["list", "text", "of kernels", "of biases", "nearest first"],
)
def test_activations_in_attributes_are_believed(tmp_path, attributes):
    path = write(tmp_path / "net.h5", (5, 8, 6, 2))
    with h5py.File(path, "a") as file:
        for name, value in attributes.items():
            owner, _, key = name.removeprefix("@").rpartition("@")
            (file[owner] if owner else file).attrs[key] = value
    network = porter.read(path)
    assert spelt(network)[:2] == [("relu", *DECLARED), ("sigmoid", *DECLARED)]
    steps = [step for step in build_program(network).steps if hasattr(step, "activation")]
    assert [step.activation.name for step in steps] == ["relu", "sigmoid", "linear"]
    port = porter.read(path, activation="tanh")
    assert spelt(port)[0] == ("tanh", "declared", "the file says relu")
    assert next(s.activation.name for s in build_program(port).steps if hasattr(s, "activation")) == "tanh"


def test_a_group_may_say_it_for_its_layer(tmp_path, drawn):
    path = write_hdf5(tmp_path / "net.h5", named(drawn, "fc{}/weight", "fc{}/bias"), output_activation="softplus")
    with h5py.File(path, "a") as file:
        file["fc9"].attrs["activation"] = "elu"
    found = [value for value, *_ in spelt(porter.read(path))]
    assert found == ["tanh", "elu", "softplus"]


def test_hdf5_may_hold_them_as_datasets(tmp_path, drawn):
    arrays = named(drawn, "fc{}/weight", "fc{}/bias")
    several = {"activations": np.array([b"relu", b"elu", b"linear"])}
    path = write_hdf5(tmp_path / "net.h5", {**arrays, **several})
    assert [text for text, *_ in spelt(porter.read(path))] == ["relu", "elu", "linear"]
    path = write_hdf5(tmp_path / "one.h5", {**arrays, "fc9/activation": "elu"})
    assert [text for text, *_ in spelt(porter.read(path))] == ["tanh", "elu", "linear"]
    with pytest.raises(StoredTypeError, match="strings"):
        porter.read(write_hdf5(tmp_path / "other.h5", {**arrays, "note": "relu"}))


def test_an_npz_may_hold_them_as_text(tmp_path, drawn):
    path = tmp_path / "net.npz"
    np.savez(path, **named(drawn, "W{}", "b{}"), activations=np.array(["relu", "relu", "linear"]))
    assert [text for text, *_ in spelt(porter.read(path))] == ["relu", "relu", "linear"]


@pytest.mark.parametrize(
    ("kernel", "bias", "wanted"),
    [
        ("coefs_{}", "intercepts_{}", "inputs-first"),
        ("dense_{}/kernel:0", "dense_{}/bias:0", "inputs-first"),
        ("params/Dense_{}/kernel", "params/Dense_{}/bias", "inputs-first"),
        ("mlp/~/linear_{}/w", "mlp/~/linear_{}/b", "inputs-first"),
        ("fc{}.weight", "fc{}.bias", "units-first"),
        ("W{}", "b{}", None),
        ("weights_{}", "bias_{}", None),
        ("coef{}", "intercept{}", None),
        ("linear_{}.w", "linear_{}.b", None),
        ("layers[{}].kernel", "layers[{}].bias", None),
    ],
)
def test_square_kernels_stand_as_the_library_that_names_them_so_defines(tmp_path, kernel, bias, wanted):
    square = weights((4, 4, 4))
    stored = named(square, kernel, bias, transposed=wanted == "inputs-first")
    network = porter.read(write_hdf5(tmp_path / "net.h5", stored))
    told = [(c.value, c.evidence) for c in network.claims if c.convention == "orientation"]
    assert told == [(wanted or "units-first", "assumed" if wanted is None else "declared")] * 2
    x = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(build_program(network)(x)[0], forward(square, [np.tanh, lambda z: z], x), atol=1e-13)
    turned = porter.read(tmp_path / "net.h5", orientation="inputs-first")
    assert build_program(turned).steps[0].orientation == "inputs-first"


def test_shapes_go_before_names(tmp_path):
    """Of a file whose first kernel is not as its name says, the square ones are not taken to be."""
    square = weights((3, 4, 4, 2))
    network = porter.read(write_hdf5(tmp_path / "net.h5", named(square, "coefs_{}", "intercepts_{}")))
    first, second, _ = (claim for claim in network.claims if claim.convention == "orientation")
    assert (first.value, first.evidence) == ("units-first", "shape") and "its name says inputs-first" in first.detail
    assert (second.value, second.evidence) == ("units-first", "assumed") and "contradicts" in second.detail
    assert {step.orientation for step in build_program(network).steps} == {"units-first"}
    both = named(weights((4, 6, 4)), "fc{}.weight", "fc{}.bias")
    without = {name: array for name, array in both.items() if name.endswith("weight")}
    told = porter.read(write_hdf5(tmp_path / "both.h5", without)).claims[0]  # it chains both ways round
    assert (told.value, told.evidence) == ("units-first", "declared")


@pytest.mark.parametrize("widths", [(4, 4, 4), (4, 6, 6, 6, 3)])
def test_the_first_of_keras_names_has_no_number(tmp_path, widths):
    drawn = weights(widths)
    arrays = {name.replace("dense_0", "dense"): array for name, array in
              named(drawn, "dense_{}/kernel:0", "dense_{}/bias:0", transposed=True, first=-1).items()}  # fmt: skip
    network = porter.read(write_hdf5(tmp_path / "net.h5", dict(reversed(arrays.items()))))
    x = np.random.default_rng(0).normal(size=(9, 4))
    wanted = forward(drawn, [np.tanh] * (len(widths) - 2) + [lambda z: z], x)
    np.testing.assert_allclose(build_program(network)(x)[0], wanted, atol=1e-13)
    order = next(claim for claim in network.claims if claim.convention == "order")
    assert order.evidence == "assumed" and order.value.startswith("dense/kernel:0, dense_1/kernel:0")
    other = {name.replace("dense/", "start/"): array for name, array in arrays.items()}
    with pytest.raises(UnknownMemberError, match="in which order"):
        porter.read(write_hdf5(tmp_path / "other.h5", other))


def test_an_activation_that_nobody_knows(tmp_path, drawn):
    path = write_hdf5(tmp_path / "net.h5", named(drawn, "W{}", "b{}"), activation="snake")
    with pytest.raises(StoredTypeError, match=r"'snake'(.*\n)+.*--activation"):
        porter.read(path)
    assert porter.read(path, activation="relu").dense_layers[0].activation.name == "relu"


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda arrays: arrays | {"rescaling/scale": np.ones(2)}, UnknownMemberError, "rescaling/scale"),
        (lambda arrays: arrays | {"w9": np.ones((2, 2))}, DuplicateMemberError, "'W9' and 'w9'"),
        (lambda arrays: {k: v for k, v in arrays.items() if k != "b9"}, MissingMemberError, "'W9' has no bias"),
        (lambda arrays: {k: v for k, v in arrays.items() if k != "W9"}, MissingMemberError, "'b9' has no kernel"),
        (lambda arrays: {"W7": np.array("to follow"), "x": np.ones(3)}, MissingMemberError, "holds no kernel"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, drawn, change, error, says):
    path = tmp_path / "net.npz"
    np.savez(path, **change(named(drawn, "W{}", "b{}")))
    with pytest.raises(error, match=says) as caught:
        porter.read(path)
    assert "--write-recipe" in str(caught.value)


def test_a_bias_inside_the_kernel_is_named(tmp_path, drawn):
    path = tmp_path / "neuralnet.npz"
    rows = [np.vstack([bias[None], kernel.T]) for kernel, bias in zip(*drawn, strict=True)]
    np.savez(path, **{f"w{n}": matrix for n, matrix in enumerate(rows)})
    with pytest.raises(WidthError, match='bias_in = "first row"'):
        porter.read(path)


def test_samples_beside_the_arrays_are_passed_over(tmp_path, drawn):
    path = tmp_path / "net.npz"
    np.savez(path, **named(drawn, "W{}", "b{}"), inputs=np.ones((3, 5)), outputs=np.ones((3, 2)))
    assert porter.read(path).widths == WIDTHS


def test_nothing_pickled_is_read(tmp_path):
    path = tmp_path / "net.npz"
    np.savez(path, W1=np.array([[{}, 1]], object), b1=np.ones(2))
    with pytest.raises(DamagedFileError, match="nothing pickled"):
        porter.read(path)


def test_an_npz_of_other_things_is_an_archive(tmp_path):
    np.savez(tmp_path / "net.npz", x=np.ones(3))
    with pytest.raises(ArchiveFileError, match="--samples"):
        porter.read(tmp_path / "net.npz")


def cells(*arrays):
    found = np.empty((len(arrays), 1), object)
    for place, array in enumerate(arrays):
        found[place, 0] = array
    return found


def as_matlab_has_it(drawn, spoil=()):
    """The weights of a network object: those of the inputs, of the layers by target and source, and the biases."""
    (first, *rest), biases = drawn
    layers, nothing = np.empty((len(rest) + 1,) * 2, object), np.zeros((0, 0))
    layers[:] = [[nothing] * (len(rest) + 1)] * (len(rest) + 1)
    for number, kernel in enumerate(rest, start=1):
        layers[number, number - 1] = kernel
    for place, kernel in spoil:
        layers[place] = kernel
    return {"IW": cells(first, *[nothing] * len(rest)), "LW": layers, "b": cells(*(bias[:, None] for bias in biases))}


def test_cells_of_matlab(tmp_path, drawn):
    """Weights and biases in cells; and of a network in a structure the trained ones, not those to revert to."""
    kernels, biases = drawn
    x = np.random.default_rng(0).normal(size=(9, WIDTHS[0]))
    wanted = forward(drawn, [np.tanh, np.tanh, lambda z: z], x)
    own = as_matlab_has_it(drawn)
    for number, stored in enumerate(
        (
            {"weights": cells(*kernels), "biases": cells(*(bias[:, None] for bias in biases))},
            own,
            {"net": {**own, "revert": as_matlab_has_it(([9 * kernel for kernel in kernels], biases))}},
        )
    ):
        savemat(tmp_path / f"{number}.mat", stored)
        network = porter.read(tmp_path / f"{number}.mat")
        np.testing.assert_allclose(build_program(network)(x)[0], wanted, rtol=0, atol=1e-13)
        told = [claim.detail for claim in network.claims if claim.convention == "scaling"]
        assert len(told) == (2 if number else 0) and all("mapminmax" in detail for detail in told)


def test_a_connection_past_a_layer_in_cells_is_refused(tmp_path, drawn):
    savemat(tmp_path / "net.mat", as_matlab_has_it(drawn, [((2, 0), np.ones((WIDTHS[3], WIDTHS[1])))]))
    with pytest.raises(UnknownMemberError, match=r"LW\{3,1\}"):
        porter.read(tmp_path / "net.mat")
