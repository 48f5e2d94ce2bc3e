"""What a file says is never denied, whether it is understood or not."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import porter
from porter.formats.said import with_hints
from porter.network import Claim

ARRAYS = {
    "Weights/Layer1": np.ones((4, 3), np.float32), "Bias/Layer1": np.ones((4, 1), np.float32),
    "Weights/Layer2": np.ones((2, 4), np.float32), "Bias/Layer2": np.ones((2, 1), np.float32),
    "Norm_in": np.array([[0.0, 1.0]] * 3, np.float32),
}  # fmt: skip


def written(path, **attributes):
    with h5py.File(path, "w") as file:
        for name, array in ARRAYS.items():
            file[name] = array
        for name, value in attributes.items():
            file.attrs[name] = value
    return {(claim.layer, claim.convention): claim for claim in porter.read(path).claims}


def test_without_attributes_the_file_does_not_say(tmp_path):
    claims = written(tmp_path / "net.h5")
    assert "the file does not say" in claims["Layer1", "activation"].detail
    assert "the file does not say" in claims["Norm_in", "scaling"].detail


@pytest.mark.parametrize(
    ("attribute", "value", "layer", "convention"),
    [
        ("nonlinearity_of_hidden", "relu", "Layer1", "activation"),
        ("transferFcn", np.bytes_(b"logsig"), "Layer1", "activation"),
        ("normalisation", "minmax 0 to 1", "Norm_in", "scaling"),
        ("scaling_method", 2, "Norm_in", "scaling"),
    ],
)
def test_an_attribute_that_is_not_understood_is_named(tmp_path, attribute, value, layer, convention):
    claims = written(tmp_path / "net.h5", **{attribute: value})
    told = claims[layer, convention]
    assert told.evidence == "assumed"
    assert "does not say" not in told.detail
    assert f"may say it in its attribute '@{attribute}', which is not understood" in told.detail or (
        f"may say it in its attribute '{attribute}', which is not understood" in told.detail
    )


def test_what_the_file_says_plainly_is_believed(tmp_path):
    told = written(tmp_path / "net.h5", hidden_activation="relu")["Layer1", "activation"]
    assert (told.value, told.evidence) == ("relu", "declared")


def test_claims_that_rest_on_something_stay_as_they_are():
    claims = (Claim("a", "activation", "tanh", "declared", "the file does not say"),
              Claim("a", "order", "x", "assumed", "the file does not say"))  # fmt: skip
    assert with_hints(claims, ["@activ", "@order"]) == claims
