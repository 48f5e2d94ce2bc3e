"""Text models of the Fortran-Keras Bridge: read, computed, refused."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.errors import DamagedFileError, MissingMemberError, PorterError, TruncatedFileError, UnknownMemberError
from porter.formats.programs import build_program
from tests.formats.families import forward, weights, write_fkb

WIDTHS = (5, 4, 4, 2)
NAMES = ("leakyrelu 0.3", "tanh 0", "linear 0")


def leaky(x):
    return np.maximum(np.float64(np.float32(0.3)) * x, x)


@pytest.fixture
def drawn():
    return weights(WIDTHS, dtype="float32")


@pytest.fixture
def path(tmp_path, drawn):
    return write_fkb(tmp_path / "model.txt", drawn, NAMES)


def test_it_computes_what_the_bridge_computes(path, drawn):
    x = np.random.default_rng(1).normal(size=(50, 5))
    network = porter.read(path)
    wanted = forward(drawn, (leaky, np.tanh, lambda z: z), x)
    np.testing.assert_allclose(build_program(network)(x)[0], wanted, rtol=0, atol=1e-14)
    assert network.widths == WIDTHS and network.stored_dtype == np.float32


def test_the_two_sides_read_the_square_layer_apart(path):
    flipped = porter.read(path, orientation=["units-first", "inputs-first", "units-first"])
    own = porter.read(path)
    np.testing.assert_array_equal(flipped.layer("Layer2").kernel, own.layer("Layer2").kernel.T)
    np.testing.assert_array_equal(flipped.layer("Layer1").kernel, own.layer("Layer1").kernel)
    x = np.ones((1, 5))
    assert not np.allclose(build_program(flipped)(x)[0], build_program(own)(x)[0])


def test_its_claims_say_what_the_file_says(path):
    claims = {(claim.layer, claim.convention): claim for claim in porter.read(path).claims}
    assert claims["Layer2", "activation"].evidence == "declared"
    assert claims["Layer2", "activation"].detail == "declared by the file"
    assert claims["Layer2", "orientation"].evidence == "assumed"
    again = porter.read(path, activation=["relu", "tanh", "linear"])
    claims = {(claim.layer, claim.convention): claim for claim in again.claims}
    assert "the file says leaky_relu" in claims["Layer1", "activation"].detail


def test_a_model_without_weights_is_refused_by_name(tmp_path, drawn):
    path = write_fkb(tmp_path / "model.txt", drawn, NAMES, with_weights=False)
    with pytest.raises(MissingMemberError, match="holds no weights"):
        porter.read(path)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda text: text.replace("tanh 0", "gaussian 1"), UnknownMemberError, "gaussian"),
        (lambda text: text.replace("tanh 0", "dropout 0.5"), UnknownMemberError, "dropout"),
        (lambda text: text.replace("leakyrelu 0.3", "leakyrelu 1.5"), UnknownMemberError, "slope above 1"),
        (lambda text: text.replace("dense 4\ntanh", "dense 999999\ntanh"), TruncatedFileError, "biases of layer 2"),
        (lambda text: text.replace("dense 4\ntanh", "dense four\ntanh"), DamagedFileError, "'four'"),
        (lambda text: "\n".join(text.splitlines()[:-1]), TruncatedFileError, "weights of layer 3"),
        (lambda text: text + "1 2 3\n", DamagedFileError, "goes on behind"),
        (lambda text: text.rstrip() + "x\n", DamagedFileError, "no number"),
        (lambda text: "99" + text[1:], TruncatedFileError, "ends among its layers"),
    ],
)
def test_what_is_wrong_is_named(path, change, error, says):
    path.write_text(change(path.read_text()))
    with pytest.raises(error, match=says):
        porter.read(path)


def test_numbers_that_single_precision_cannot_hold(path):
    path.write_text(path.read_text().rstrip().rpartition(" ")[0] + " 1e60\n")
    with pytest.raises(PorterError, match="1e60"):
        porter.read(path)
