"""Networks of RTE-RRTMGP-NN in netCDF-4."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import porter
from porter.errors import (
    DamagedFileError,
    LayersError,
    MissingMemberError,
    ScalingShapeError,
    StoredTypeError,
    UnknownFormatError,
)
from porter.formats.programs import build_program
from tests.formats.families import forward, weights, write_rrtmgp

WIDTHS = (6, 8, 8, 5)
NAMES = ("softsign", "softsign", "linear")


def softsign(z):
    return z / (1 + np.abs(z))


@pytest.fixture
def drawn():
    return weights(WIDTHS, dtype="float32")


@pytest.fixture
def path(tmp_path, drawn):
    return write_rrtmgp(tmp_path / "net.nc", drawn, NAMES)


def expected(path, drawn, x):
    """Scaled, through the network, scaled back."""
    with h5py.File(path) as file:
        low, high, mean, deviation = (
            file[f"nn_{name}"][()].astype(np.float64)
            for name in ("input_coeffs_min", "input_coeffs_max", "output_coeffs_mean", "output_coeffs_std")
        )
    return forward(drawn, (softsign, softsign, lambda z: z), (x - low) / (high - low)) * deviation + mean


def test_it_computes_what_the_original_computes(path, drawn):
    x = np.random.default_rng(1).uniform(0.5, 2, size=(50, 6))
    program = build_program(porter.read(path))
    np.testing.assert_allclose(program(x)[0], expected(path, drawn, x), rtol=1e-13)


def test_physical_units_add_the_logarithm_the_roots_and_the_power(path, drawn):
    x = np.random.default_rng(1).uniform(0.5, 2, size=(50, 6))
    network = porter.read(path, physical=True)
    inside = x.copy()
    inside[:, 1], inside[:, 2:4] = np.log(x[:, 1]), x[:, 2:4] ** 0.25
    np.testing.assert_allclose(build_program(network)(x)[0], expected(path, drawn, inside) ** 8, rtol=1e-12)
    assert network.layers[0].functions == ("identity", "ln", "root4", "root4", "identity", "identity")


def test_a_planck_fraction_is_squared_above_zero(tmp_path, drawn):
    path = write_rrtmgp(tmp_path / "planck.nc", drawn, NAMES, power=" = y_nn * y_nn")
    network = porter.read(path, physical=True)
    assert network.layers[-1].functions == ("relu_square",) * 5
    claims = {claim.layer: claim for claim in network.claims if claim.convention == "transform"}
    assert claims["Transform_out"].evidence == "assumed", "the file says nothing of the relu"


def test_fill_values_are_no_coefficients(path):
    with h5py.File(path, "a") as file:
        for name in ("mean", "std"):
            file[f"nn_output_coeffs_{name}"][3:] = np.float32(9.969209968386869e36)
    network = porter.read(path, physical=True)
    norm = network.layer("Norm_out")
    np.testing.assert_array_equal((norm.scale[3:], norm.offset[3:]), ((1, 1), (0, 0)))
    assert network.layers[-1].functions == ("pow8",) * 3 + ("relu_square",) * 2
    assert build_program(network).steps[-1].functions == network.layers[-1].functions


def test_the_activations_are_the_files(path):
    claims = {(claim.layer, claim.convention): claim for claim in porter.read(path).claims}
    assert claims["Layer1", "activation"].value == "softsign"
    assert claims["Layer1", "activation"].detail == "declared by the file"
    assert claims["Layer2", "orientation"].evidence == "assumed", "square"
    assert claims["Layer1", "orientation"].evidence == "shape"


def test_activations_of_variable_length_alone(path):
    with h5py.File(path, "a") as file:
        del file["nn_activation_char"], file["nn_activation"]
        file.create_dataset("nn_activation", data=["tanh", "softsign", "linear"], dtype=h5py.string_dtype())
    assert [layer.activation.name for layer in porter.read(path).dense_layers] == ["tanh", "softsign", "linear"]


def spoil(path, **changes):
    with h5py.File(path, "a") as file:
        for name, value in changes.items():
            del file[name]
            if value is not None:
                file[name] = value


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"nn_bias_2": None}, MissingMemberError, "nn_bias_2"),
        ({"nn_weights_2": None}, MissingMemberError, "nn_weights_2"),
        ({"nn_dimsize": np.array([8, 8, 6])}, LayersError, "contradicts"),
        ({"nn_output_coeffs_std": None}, ScalingShapeError, "half a scaling"),
        ({"nn_bias_1": np.arange(8)}, StoredTypeError, "floats"),
        ({"nn_activation_char": np.array([list("oddity  ")] * 3, "S1")}, StoredTypeError, "oddity"),
    ],
)
def test_what_is_wrong_is_named(path, changes, error, says):
    spoil(path, **changes)
    with pytest.raises(error, match=says):
        porter.read(path)


def test_words_of_an_unknown_encoding_are_refused(path):
    """One byte of the datatype message: fixed text of one character, its encoding number 13."""
    data = path.read_bytes()
    sound, damaged = b"\x13\x01\0\0\x01\0\0\0", b"\x13\xd1\0\0\x01\0\0\0"
    assert sound in data
    path.write_bytes(data.replace(sound, damaged))
    with pytest.raises(DamagedFileError, match="encoding"):
        porter.read(path)


def test_netcdf_3_is_refused_by_name(tmp_path):
    path = tmp_path / "old.nc"
    path.write_bytes(b"CDF\x01" + bytes(200))
    with pytest.raises(UnknownFormatError, match=r"netCDF-3(.*\n)+.*nccopy"):
        porter.read(path)
