"""What a file says is never denied, whether it is understood or not."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import porter
from porter.formats.said import said_activations, with_hints
from porter.network import Claim
from reference.programs.said import said

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
    ("attribute", "value", "layer", "convention", "quoted"),
    [
        ("nonlinearity_of_hidden", "relu", "Layer1", "activation", "'relu'"),
        ("transferFcn_of_hidden", np.bytes_(b"logsig"), "Layer1", "activation", "'logsig'"),
        ("activation", 1, "Layer1", "activation", "1"),
        ("activations", "linear, relu, tanh, relu", "Layer1", "activation", "'linear, relu, tanh, relu'"),
        ("function", np.bytes_(b"relu"), "Layer1", "activation", "'relu'"),
        ("config", '{"net": {"activation": "relu"}}', "Layer1", "activation", '\'{"net": {"activation": "relu"}}\''),
        ("hiddenActs", 1, "Layer1", "activation", "1"),
        ("normalisation", np.bytes_(b"minmax"), "Norm_in", "scaling", "'minmax'"),
        ("scaling_method", 2, "Norm_in", "scaling", "2"),
    ],
)
def test_an_attribute_that_is_not_understood_is_quoted(tmp_path, attribute, value, layer, convention, quoted):
    told = written(tmp_path / "net.h5", **{attribute: value})[layer, convention]
    assert told.evidence == "assumed"
    assert "does not say" not in told.detail
    assert f"may say it in its attribute '{attribute}' ({quoted}), which is not understood" in told.detail


def test_what_the_file_says_plainly_is_believed(tmp_path):
    told = written(tmp_path / "net.h5", hidden_activation="relu")["Layer1", "activation"]
    assert (told.value, told.evidence) == ("relu", "declared")


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"act_fn": "relu"}, ["relu", "relu", None]),
        ({"transferFcn": "poslin", "out_activation_": "identity"}, ["poslin", "poslin", "identity"]),
        ({"activation": ["relu"]}, ["relu", "relu", None]),
        ({"nonlinearity": ["relu", "elu", "linear"]}, ["relu", "elu", "linear"]),
        ({"activations": "relu; elu linear"}, ["relu", "elu", "linear"]),
        ({"activations": '["relu", "elu"]'}, ["relu", "elu", None]),
        ({"config": '{"activation": "relu"}'}, ["relu", "relu", None]),
        ({"act1": "relu", "act2": "elu", "act3": "linear"}, ["relu", "elu", "linear"]),
        ({"m@activation": "relu", "m@out_activation": "elu", "m/l2@act": "tanh"}, ["relu", "tanh", "elu"]),
        ({"activation": "leaky_relu(negative_slope=0.1)"}, ["leaky_relu(negative_slope=0.1)"] * 2 + [None]),
        # nothing of these is plain enough to be believed
        ({"activation": "relu", "act_fn": "elu"}, [None] * 3),
        ({"activations": "relu"}, [None] * 3),
        ({"activations": "relu (" * 2_000}, [None] * 3),
        ({"activations": ["linear", "relu", "relu", "linear"]}, [None] * 3),
        ({"act0": "relu", "act1": "elu"}, [None] * 3),
        ({"other@activation": "relu"}, [None] * 3),
        ({"notes": '{"activation": "relu"}'}, [None] * 3),
    ],
)
def test_reader_and_program_each_understand_what_a_file_says(attributes, wanted):
    """Neither knows of the other's rule."""
    kernels, biases = [f"m/l{n}/W" for n in (1, 2, 3)], [f"m/l{n}/b" for n in (1, 2, 3)]
    assert said_activations(attributes, kernels, biases) == wanted
    assert said(attributes, list(zip(kernels, biases, strict=True))) == wanted


def test_claims_that_rest_on_something_stay_as_they_are():
    claims = (Claim("a", "activation", "tanh", "declared", "the file does not say"),
              Claim("a", "order", "x", "assumed", "the file does not say"))  # fmt: skip
    assert with_hints(claims, {"@activ": 1, "@order": 2}) == claims
