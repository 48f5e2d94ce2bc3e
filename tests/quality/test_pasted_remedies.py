"""Remedies are Python that a person pastes: for ports of every shape, executed as printed, and verified again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import porter
from benchmarks.pasted import paste
from benchmarks.tables import told_of_remedies
from porter.examination.pasting import activated, as_python, commented, has_code, is_code, quoted, remade, taken_out
from porter.report import wording
from tests.handmade import Legacy, plain_port, read_legacy, scaled, split_chain

pytestmark = pytest.mark.usefixtures("keras")

NAME = "square_7-7-7-7-7"


@pytest.fixture(scope="module")
def path(fixtures: Any) -> Any:
    return fixtures / f"{NAME}.h5"


@pytest.fixture(scope="module")
def network(path: Any) -> Any:
    return porter.read(path)


@pytest.fixture(scope="module")
def legacy(path: Any) -> Legacy:
    return read_legacy(path)


@pytest.fixture(scope="module")
def transposed(legacy: Legacy) -> Legacy:
    """Its second layer stands transposed."""
    return legacy.with_arrays(2, legacy.kernels[1].T)


def all_of(report: Any) -> str:
    """Everything that is printed to be pasted, what makes ``model`` and ``network`` first."""
    setting = wording.setting(report)
    assert setting is not None
    return "\n".join([setting, *(finding.remedy for finding in report.findings)])


def pasted(report: Any, model: Any, path: Any) -> str:
    """The verdict on the port after everything was pasted."""
    space: dict[str, Any] = {"model": model}
    exec(all_of(report), space)
    return str(porter.verify(path, space["model"], search=False).verdict)


# --- what a person has ---


def test_the_report_says_once_how_model_and_network_are_made(path, transposed, tmp_path):
    plain_port(transposed).save(tmp_path / "wrong.keras")
    report = porter.verify(path, tmp_path / "wrong.keras", search=False)
    assert str(report).count("porter.read(") == 1
    assert all_of(report).splitlines() == [
        "import keras", "import porter", f"network = porter.read({str(path)!r})",
        f"model = keras.models.load_model({str(tmp_path / 'wrong.keras')!r}, compile=False)",
        report.findings[0].remedy,
    ]  # fmt: skip
    space: dict[str, Any] = {}
    exec(all_of(report), space)
    assert porter.verify(space["network"], space["model"], search=False).verdict == "parity"


def test_options_of_reading_are_part_of_it(path, legacy):
    wrong = plain_port(legacy.with_activation(1, "relu"))
    report = porter.verify(path, wrong, search=False, activation="softsign")
    assert "activation='softsign'" in wording.setting(report)
    assert "model is the keras.Model" in wording.setting(report)


def test_nothing_is_printed_where_there_is_nothing_to_paste(path, legacy):
    report = porter.verify(path, plain_port(legacy), search=False)
    assert report.verdict == "parity" and wording.setting(report) is None
    assert "Before a remedy is pasted" not in str(report)


# --- ports of every shape ---


@pytest.mark.parametrize("how", ["Activation", "LeakyReLU", "ReLU"])
def test_an_activation_that_is_a_layer_of_its_own(keras, path, legacy, how):
    """The remedy changes that layer, and leaves the Dense before it as it is."""
    makers = {"Activation": lambda: keras.layers.Activation("relu"), "ReLU": keras.layers.ReLU,
              "LeakyReLU": lambda: keras.layers.LeakyReLU(negative_slope=0.1)}  # fmt: skip
    count = iter(range(9))

    def activate(name: str) -> Any:
        return makers[how]() if next(count) == 1 else keras.layers.Activation(name)

    model = scaled(legacy, lambda x: split_chain(legacy, x, activate))
    report = porter.verify(path, model, search=False)
    (finding,) = report.findings
    assert finding.code == "activation.replaced"
    assert "Dense" not in finding.remedy and "porter.build(" not in finding.remedy
    assert pasted(report, model, path) == "parity"


def test_a_bias_that_the_layer_does_not_have(keras, path, legacy):
    def body(x: Any) -> Any:
        for number, activation in enumerate(legacy.activations):
            x = keras.layers.Dense(7, activation=activation, use_bias=number != 2)(x)
        return x

    inputs = keras.Input((7,))
    right = plain_port(legacy)
    layers = [one for one in right.layers if one.name.startswith("rescaling")]
    outputs = layers[1](body(layers[0](inputs)))
    model = keras.Model(inputs, outputs)
    denses = [one for one in model.layers if type(one).__name__ == "Dense"]
    for layer, kernel, bias in zip(denses, legacy.kernels, legacy.biases, strict=True):
        layer.set_weights([kernel, bias][: len(layer.weights)])
    report = porter.verify(path, model, search=False)
    assert [(one.code, one.layer) for one in report.findings] == [("bias.missing", "Layer3")]
    assert '"use_bias": True' in report.findings[0].remedy and "porter.build(" not in report.findings[0].remedy
    assert pasted(report, model, path) == "parity"


def affine(keras: Any) -> Any:
    """Somebody's own dense layer, with names of its own for the arrays."""

    class Affine(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.matrix = self.add_weight(shape=(shape[-1], 7), name="matrix")
            self.shift = self.add_weight(shape=(7,), name="shift")

        def call(self, x: Any) -> Any:
            return keras.ops.tanh(keras.ops.matmul(x, self.matrix) + self.shift)

    return Affine


def test_a_layer_of_a_class_of_ones_own_is_not_mistaken_for_another(keras, path, legacy, transposed):
    """Its arrays go by other names; another layer bears the name that was once printed for it."""
    right = plain_port(legacy)
    scale, *denses, back = right.layers[1:]
    for number, layer in enumerate(denses):
        layer.name = "dense" if number == 0 else f"mine_{number}"
    own = affine(keras)(name="own")
    inputs = keras.Input((7,))
    model = keras.Model(inputs, back(denses[3](denses[2](own(denses[0](scale(inputs)))))))
    own.set_weights([transposed.kernels[1], transposed.biases[1]])
    kept = np.asarray(denses[0].kernel).copy()
    report = porter.verify(path, model, search=False)
    assert [(one.code, one.layer) for one in report.findings] == [("kernel.transposed", "Layer2")]
    assert 'get_layer("dense")' not in report.findings[0].remedy and "own" in report.findings[0].remedy
    assert pasted(report, model, path) == "parity"
    np.testing.assert_array_equal(denses[0].kernel, kept)


def test_a_subclassed_model(keras, path, legacy, transposed):
    """It cannot be copied or taken apart: what is printed still runs, and is a port at parity."""

    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.stack = plain_port(transposed).layers[1:]

        def call(self, x: Any) -> Any:
            for layer in self.stack:
                x = layer(x)
            return x

    model = Mine()
    model(np.zeros((1, 7), "float32"))
    report = porter.verify(path, model, search=False)
    assert [(one.code, one.layer) for one in report.findings] == [("kernel.transposed", "Layer2")]
    assert pasted(report, model, path) == "parity"


def test_a_model_inside_of_a_model(keras, path, transposed):
    inner = plain_port(transposed)
    inputs = keras.Input((7,))
    model = keras.Model(inputs, inner(inputs))
    report = porter.verify(path, model, search=False)
    assert report.findings[0].remedy.startswith(f'model.get_layer("{inner.name}").get_layer("')
    assert pasted(report, model, path) == "parity"


def test_a_name_is_a_literal_whatever_it_says(keras, path, transposed):
    """A name out of a port's file runs nothing."""
    hostile = 'x").name; ran.append(1); ("'
    model = plain_port(transposed)
    model.layers[3].name = hostile
    report = porter.verify(path, model, search=False)
    space: dict[str, Any] = {"model": model, "ran": []}
    exec(all_of(report), space)
    assert space["ran"] == []
    assert porter.verify(path, space["model"], search=False).verdict == "parity"


def test_the_port_stays_as_it_is(path, transposed):
    model = plain_port(transposed)
    before = [np.asarray(each).copy() for each in model.weights]
    activations = [getattr(layer, "activation", None) for layer in model.layers]
    assert porter.verify(path, model, search=False).after_remedy == "parity"
    assert all(np.array_equal(one, other) for one, other in zip(before, model.weights, strict=True))
    assert activations == [getattr(layer, "activation", None) for layer in model.layers]


def test_a_layer_may_be_called_in_another_model_too(keras, network, legacy):
    """A port that shares its layers with another model is still this port."""
    right = plain_port(legacy)
    other = keras.Input((7,))
    keras.Model(other, right.layers[2](right.layers[1](other), training=True))
    assert porter.verify(network, right, search=False).verdict == "parity"


# --- the pieces ---


def test_what_is_no_python_becomes_a_comment():
    remedy = 'take noise out\nmodel.get_layer("a").x = 1\nor say activation='
    assert as_python(remedy) == '# take noise out\nmodel.get_layer("a").x = 1\n# or say activation='
    assert commented(remedy) == '# take noise out\n# model.get_layer("a").x = 1\n# or say activation='
    assert has_code(remedy) and not has_code(commented(remedy))
    assert is_code("a = 1") and not is_code("# a = 1") and not is_code("a b")


def test_lines_to_paste_are_python():
    for text in (
        remade('a"b', {"padding": quoted("same")}), taken_out(["a", "b\n"]), activated("a", "tanh", {}, True),
        activated("a", "leaky_relu", {"negative_slope": 0.1}, False), activated("a", "elu", {"alpha": 0.5}, True),
    ):  # fmt: skip
        compile(text, "text", "exec")
        assert has_code(text)
    assert not has_code(activated("a", "scaled_tanh", {"amplitude": 1.7}, False))


# --- the count of the benchmarks ---


@pytest.mark.parametrize("remedy", ["x = 1", "# nothing to paste", "model.get_layer('absent')", "model = 7"])
def test_a_remedy_that_mends_nothing_is_counted_as_such(network, transposed, remedy):
    model = plain_port(transposed)
    report = porter.verify(network, model, search=False)
    right = paste(report, network, model, search=False)
    assert (right["pasted"], right["remedies"], right["anew"], right["paste_error"]) == (True, 1, False, None)
    wrong = replace(report, findings=tuple(replace(each, remedy=remedy) for each in report.findings))
    found = paste(wrong, network, model, search=False)
    assert not found["pasted"] and found["paste_error"]


def test_how_many_were_pasted_is_told():
    records = [
        {"remedies": 2, "pasted": True, "anew": False}, {"remedies": 1, "pasted": True, "anew": True},
        {"remedies": 1, "pasted": False, "anew": False}, {"remedies": 0, "pasted": True, "anew": False}, {},
    ]  # fmt: skip
    assert told_of_remedies(records).startswith(
        "4 remedies in 3 reports were run as they are printed: 3 of them (75.00 %)"
    )
    assert "1 by building the port anew" in told_of_remedies(records)
    assert told_of_remedies([]) == ""
