"""A port that computes the same by another program passes, and says so; one weight off in it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import porter
from benchmarks.networks import draw_legacy
from benchmarks.rewritings import FORMS, plain, rewritten, spoilt, write

pytestmark = pytest.mark.usefixtures("keras")

SAYS = {
    "permuted": "units stand elsewhere",
    "flipped": "units have the opposite sign",
    "balanced": "units are multiplied by a factor",
    "sigmoid": "tanh is written as sigmoid",
    "padded": "units are constant, and none of the file's",
    "merged": "is multiplied into it",
    "folded in": "Norm_in is folded into Layer1",
    "folded out": "Norm_out is folded into Layer4",
    "columns": "together compute it",
    "rows": "together compute it",
    "several inputs": "through",
    "extra outputs": "outputs; number",
}
"""Form to the words of its note; the others are a layer like any other."""
HIDDEN = {"balanced": "relu", "merged": "linear"}


DRAWN = {"depth": 4, "width": 12, "last": "linear", "kind": None, "magnitude": 1.0, "scaling": True, "rule": "[-1,1]"}


def network(hidden, seed=0, least=4, **fixed):
    """Layers of at least so many units."""
    rng = np.random.default_rng(seed)
    while True:
        legacy = draw_legacy(rng, activation=hidden, **{**DRAWN, **fixed})
        if min(legacy.widths) >= least:
            return legacy


@pytest.fixture
def judge(tmp_path):
    """Verify a written port of a network."""

    def verify(legacy, port, **options):
        read = porter.read(legacy.write(tmp_path / "legacy.h5"), **legacy.options)
        return porter.verify(read, write(port), search=False, rows=200, **options)

    return verify


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_passes_and_is_said(judge, form, dtype):
    legacy = network(HIDDEN.get(form, "tanh"))
    port = rewritten(plain(legacy, dtype), (form,), np.random.default_rng(1))
    assert port.names == (form,)
    report = judge(legacy, port)
    assert report.verdict == "parity", str(report)
    assert any(SAYS.get(form, "") in note for note in report.notes)


@pytest.mark.parametrize("form", FORMS)
def test_a_weight_off_by_a_hundredth_shows_in_each_form(judge, form):
    legacy = network(HIDDEN.get(form, "tanh"))
    port = spoilt(rewritten(plain(legacy), (form,), np.random.default_rng(1)), np.random.default_rng(2))
    report = judge(legacy, port)
    assert report.verdict == "mismatch", str(report)
    rows = {row.layer: row.verdict for row in report.layers}
    for finding in report.findings:
        assert rows[finding.layer] != "parity", str(report)


@pytest.mark.parametrize("seed", range(12))
def test_forms_at_once_pass(judge, seed):
    rng = np.random.default_rng(seed)
    legacy = network(str(rng.choice(["tanh", "relu", "sigmoid", "linear", "softsign"])), seed, least=1)
    forms = tuple(rng.choice(FORMS, size=4, replace=False))
    port = rewritten(plain(legacy, str(rng.choice(["float32", "float64"]))), forms, rng)
    assert judge(legacy, port).verdict == "parity", (port.names, legacy.activations)
    assert judge(legacy, spoilt(port, rng)).verdict == "mismatch", (port.names, legacy.activations)


@pytest.mark.parametrize("is_declared", [False, True])
def test_units_permuted_and_the_scaling_folded_together(judge, is_declared):
    legacy = network("tanh")
    port = rewritten(plain(legacy), ("permuted", "folded in", "folded out"), np.random.default_rng(1))
    report = judge(legacy, port, **({"placement": "folded"} if is_declared else {}))
    assert report.verdict == "parity", str(report)
    assert {row.layer: row.verdict for row in report.layers}["Norm_out"] == "folded into Layer4"


def test_two_units_exchanged_on_one_side_only_are_a_mistake(judge):
    legacy = network("tanh")
    port = rewritten(plain(legacy), ("permuted", "folded in"), np.random.default_rng(1))
    kernel = port.spec.layers[2].kernel.copy()
    kernel[[0, 1]] = kernel[[1, 0]]
    report = judge(legacy, replace(port, spec=port.spec.layer(2, kernel=kernel)))
    assert report.verdict == "mismatch"


def test_a_scaling_that_changes_nothing_may_be_left_out(judge):
    legacy = network("tanh")
    idle = replace(legacy, norm_in=np.tile([-1.0, 1.0], (legacy.widths[0], 1)))
    port = plain(idle)
    assert judge(idle, replace(port, spec=replace(port.spec, before=None))).verdict == "parity"
    other = plain(legacy)
    assert judge(legacy, replace(other, spec=replace(other.spec, before=None))).verdict == "mismatch"


@pytest.mark.parametrize(("hidden", "bias", "width"), [("relu", -6.0, 40), ("tanh", 15.0, 20), ("sigmoid", 25.0, 8)])
def test_hidden_arrays_of_layers_dead_or_saturated_on_most_inputs(judge, hidden, bias, width):
    rng = np.random.default_rng(3)
    legacy = draw_legacy(
        rng,
        depth=3,
        width=width,
        activation=hidden,
        last="linear",
        kind=None,
        magnitude=1.0,
        scaling=True,
        rule="[0,1]",
    )
    biases = (legacy.biases[0], legacy.biases[1] + bias, legacy.biases[2])
    legacy = replace(legacy, biases=biases)
    port = replace(plain(legacy), styles=("hidden",) * 3)
    assert judge(legacy, port).verdict == "parity"
    assert judge(legacy, spoilt(port, rng)).verdict == "mismatch"


@pytest.mark.parametrize("kernel", ["diagonal", "zero", "single"])
def test_hidden_arrays_that_mix_nothing_are_still_a_layer(judge, kernel):
    width = 1 if kernel == "single" else 6
    rng = np.random.default_rng(4)
    legacy = draw_legacy(
        rng,
        depth=3,
        width=width,
        activation="tanh",
        last="linear",
        kind=None,
        magnitude=1.0,
        scaling=True,
        rule="[0,1]",
    )
    second = {"diagonal": np.diag(np.linspace(0.5, 1, 6)), "zero": np.zeros((6, 6)), "single": np.ones((1, 1))}[kernel]
    kernels = [rng.normal(size=(width, width)) for _ in range(3)]
    legacy = replace(
        legacy,
        kernels=(kernels[0], second, kernels[2]),
        biases=tuple(rng.normal(size=width) for _ in range(3)),
        norm_in=np.tile([0.0, 2.0], (width, 1)),
        norm_out=np.tile([1.0, 2.0], (width, 1)),
    )
    port = replace(plain(legacy), styles=("hidden",) * 3)
    assert judge(legacy, port).verdict == "parity"
    wrong = port.spec.layer(1, bias=port.spec.layers[1].bias + 0.01)
    assert judge(legacy, replace(port, spec=wrong)).verdict == "mismatch"


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("unit", ["biased", "random", "of no inputs"])
@pytest.mark.parametrize("wrong", [False, True])
def test_a_layer_with_units_that_nothing_takes(tmp_path, keras, activation, unit, wrong):
    import h5py

    rng = np.random.default_rng(12)
    kernels = [rng.normal(0, 0.6, shape) for shape in ((5, 8), (8, 6), (6, 3))]
    biases = [rng.normal(0, 0.3, size) for size in (8, 6, 3)]
    with h5py.File(tmp_path / "net.h5", "w") as file:
        for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
            file[f"Weights/Layer{number}"], file[f"Bias/Layer{number}"] = kernel.T, bias.reshape(-1, 1)
        file["Layers"] = np.array([5, 8, 6, 3], np.int16)
    network = porter.read(tmp_path / "net.h5", activation=[activation, activation, "linear"])
    own = {"biased": (np.zeros(5), 1.0), "random": (rng.normal(size=5), 0.3), "of no inputs": (np.zeros(5), 0.0)}[unit]
    kernels[0] = np.insert(kernels[0], 3, own[0], axis=1)
    biases[0] = np.insert(biases[0], 3, own[1])
    kernels[1] = np.insert(kernels[1], 3, 0.0, axis=0)
    if wrong:
        kernels[1][5, 2] *= 1.01
    x = h = keras.Input((5,))
    names = (activation, activation, None)
    layers = [keras.layers.Dense(kernel.shape[1], name) for kernel, name in zip(kernels, names, strict=True)]
    for layer in layers:
        h = layer(h)
    model = keras.Model(x, h)
    for layer, kernel, bias in zip(layers, kernels, biases, strict=True):
        layer.set_weights([kernel, bias])
    report = porter.verify(network, model, search=False, rows=200)
    assert report.verdict == ("mismatch" if wrong else "parity")
    assert [finding.code for finding in report.findings] == (["kernel.values"] if wrong else [])
    if unit != "of no inputs":  # an idle unit is recognised by what it gives
        assert any("units more than the file has: 1" in note for note in report.notes)


SHARES = {"halves": (0.5, 0.5), "odd": (0.3, 0.7), "beyond one": (1.5, -0.5), "three": (0.2, 0.3, 0.5)}


@pytest.mark.parametrize("family", ["chain", "graph"])
@pytest.mark.parametrize("shares", SHARES)
def test_a_unit_that_is_repeated_shares_its_weights(tmp_path, keras, family, shares):
    from tests.keras_legacy.files import layer
    from tests.keras_legacy.files import model as sequential
    from tests.keras_legacy.files import write as write_graph

    rng = np.random.default_rng(13)
    kernels = [rng.normal(0, 0.6, shape).astype(np.float32) for shape in ((5, 8), (8, 6), (6, 3))]
    biases = [rng.normal(0, 0.3, size).astype(np.float32) for size in (8, 6, 3)]
    names, activations = ("one", "two", "three"), ("tanh", "tanh", "linear")
    if family == "graph":
        config = sequential([
            layer("Dense", name, units=len(bias), activation=own, batch_input_shape=[None, len(kernel)])
            for name, kernel, bias, own in zip(names, kernels, biases, activations, strict=True)
        ])  # fmt: skip
        held = {
            name: {f"{name}/kernel:0": kernel, f"{name}/bias:0": bias}
            for name, kernel, bias in zip(names, kernels, biases, strict=True)
        }
        network = porter.read(write_graph(tmp_path / "net.h5", config, held))
    else:
        held = {f"W{at}": kernel for at, kernel in enumerate(kernels, 1)}
        np.savez(tmp_path / "net.npz", **held, **{f"b{at}": bias for at, bias in enumerate(biases, 1)})
        network = porter.read(tmp_path / "net.npz", activation=activations, orientation="inputs-first")

    def verify(parts, factor=1.0):
        copies = len(parts) - 1
        wide = np.concatenate([kernels[0], *[kernels[0][:, 2:3]] * copies], axis=1)
        bias = np.concatenate([biases[0], np.repeat(biases[0][2], copies)])
        taken = np.concatenate([kernels[1], *(np.float32(part) * kernels[1][2:3] for part in parts[1:])])
        taken[2] *= np.float32(parts[0] * factor)
        x = h = keras.Input((5,))
        own = [keras.layers.Dense(size, name) for size, name in zip((8 + copies, 6, 3), activations, strict=True)]
        for each in own:
            h = each(h)
        made = keras.Model(x, h)
        made.set_weights([wide, bias, taken, biases[1], kernels[2], biases[2]])
        return porter.verify(network, made, search=False, rows=200)

    right = verify(SHARES[shares])
    assert right.verdict == "parity", str(right)
    assert any("repeat units of the file and share" in note for note in right.notes)
    assert verify(SHARES[shares], factor=1.001).verdict == "mismatch"
    if shares == "halves":  # shares that cancel each other leave too few digits of the weight
        assert verify((1e5, 1 - 1e5)).verdict != "parity"
