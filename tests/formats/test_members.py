"""Members are found, ordered and paired by name, and nothing is guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porter.errors import DuplicateMemberError, MissingMemberError, UnknownMemberError
from porter.formats.members import locate, natural_key


def layout(*names, groups=()):
    return locate("net.h5", names, groups)


def both(*members):
    return [f"Weights/{name}" for name in members] + [f"Bias/{name}" for name in members]


@given(st.lists(st.integers(0, 2000), unique=True, min_size=1))
def test_natural_order(numbers):
    names = sorted((f"Layer{number}" for number in numbers), key=natural_key)
    assert names == [f"Layer{number}" for number in sorted(numbers)]


@pytest.mark.parametrize(
    ("kernels", "biases"),
    [
        (["Layer1", "Layer2", "Layer10"], None),
        (["layer_1", "layer_2"], None),
        (["1", "2"], None),
        (["0", "1"], None),
        (["Layer01", "Layer02"], None),
        (["dense", "dense_1", "dense_2"], None),
        (["dense_3", "dense_4"], None),
        (["W1", "W2"], ["b1", "b2"]),
        (["W"], ["b"]),
    ],
)
def test_spellings(kernels, biases):
    if "Layer10" in kernels:
        kernels = [f"Layer{number}" for number in range(1, 11)]
    biases = kernels if biases is None else biases
    found = layout(*(f"W/{name}" for name in reversed(kernels)), *(f"b/{name}" for name in biases))
    assert found.kernels == tuple(f"W/{name}" for name in kernels)
    assert found.biases == tuple(f"b/{name}" for name in biases)


@pytest.mark.parametrize(
    ("kernel", "bias"),
    [("Weights", "Bias"), ("weights", "biases"), ("W", "b"), ("kernel", "bias"), ("KERNELS", "BIASES")],
)
def test_groups(kernel, bias):
    found = layout(f"{kernel}/1", f"{bias}/1", "layers", "NORM_IN", groups=(kernel, bias))
    assert found == type(found)((f"{kernel}/1",), (f"{bias}/1",), widths="layers", norm_in="NORM_IN")


def test_no_biases_at_all():
    assert layout("Weights/Layer1", "Weights/Layer2").biases == (None, None)


REFUSED = [
    (["Weights/Layer1", "Weights/Layer3"], MissingMemberError, "'Layer2' is missing"),
    (["Weights/Layer2", "Weights/Layer3"], MissingMemberError, "'Layer1' is missing"),
    ([*both("Layer1", "Layer2"), "Weights/Layer3"], MissingMemberError, "'Weights/Layer3' has no bias"),
    ([*both("Layer1"), "Bias/Layer2"], MissingMemberError, "'Bias/Layer2' has no kernel"),
    (["Bias/Layer1"], MissingMemberError, "has no kernels"),
    (["Weights/Layer1", "Weights/Layer01"], DuplicateMemberError, "two kernel members for the same layer"),
    (["Weights/1", "weights/1"], DuplicateMemberError, "'Weights' and 'weights'"),
    (["Weights/1", "kernel/1"], DuplicateMemberError, "two members for the kernels"),
    (["Weights/1", "Layers", "layers"], DuplicateMemberError, "'Layers' and 'layers'"),
    (["Weights/1", "Momentum/1"], UnknownMemberError, "group 'Momentum'"),
    (["Weights/1", "epoch"], UnknownMemberError, "dataset 'epoch'"),
    (["Weights/a/1"], UnknownMemberError, "group 'Weights/a'"),
    (["Weights/Layer1", "Weights/Notes"], UnknownMemberError, "'Layer1', 'Notes'"),
    (["Weights/Layer1", "Weights/layer2"], UnknownMemberError, "differ in their number only"),
]


@pytest.mark.parametrize(("names", "kind", "says"), REFUSED)
def test_refusals(names, kind, says):
    with pytest.raises(kind) as caught:
        layout(*names)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert says in message
    assert message.startswith("net.h5")
