"""The table of measured constants, and the script that measures them."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys

import pytest

from reference.activations import FUNCTIONS, Activation
from reference.operations.transforms import FUNCTIONS as TRANSFORMS
from reference.precision import FORMATS
from reference.rounding import constants
from reference.rounding.constants import (
    ACCURACY,
    PLATFORM_DEVIATIONS,
    Accuracy,
    accuracy_of,
    measured_on,
    platform_deviation,
)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_function_has_constants_in_every_format(kind):
    assert set(ACCURACY[kind]) == {*FUNCTIONS, *TRANSFORMS, "table"}


def test_parameters_change_them():
    assert accuracy_of(Activation("relu"), "float32") == Accuracy()
    assert accuracy_of(Activation("relu", {"max_value": 6.1}), "float32").relative > 0
    assert accuracy_of(Activation("relu", {"threshold": 0.7, "negative_slope": 0.1}), "float32").argument > 0
    assert accuracy_of(Activation("elu", {"alpha": 3.0}), "float32").absolute == pytest.approx(3 * 1.2)
    assert accuracy_of("log10", "float32").relative > 0


def test_where_they_were_measured():
    assert measured_on("tensorflow", "2.21.0", "cpu", FORMATS) and measured_on("tensorflow", "2.21", "cpu", ["float32"])
    assert measured_on("jax", "0.11.2", "gpu", ["float32", "bfloat16"])
    assert not measured_on("jax", "0.11.2", "gpu", ["float32", "float64"])
    assert measured_on("onnxruntime", "1.32.0", "cpu", ["float32"]) and measured_on(
        "LiteRT", "2.3.0", "cpu", ["float32"]
    )
    assert not measured_on("onnxruntime", "1.32.0", "cpu", ["float64"])
    for other in (("tensorflow", "2.22.0", "cpu"), ("tensorflow", "2.2", "cpu"), ("tensorflow", "2.21.0", "gpu"),
                  ("jax", "2.21.0", "cpu")):  # fmt: skip
        assert not measured_on(*other, ["float32"])


def test_platform_deviations_have_a_reason():
    for (name, kind), (factor, reason) in PLATFORM_DEVIATIONS.items():
        assert name in FUNCTIONS and kind in FORMATS and factor > 0 and "float32" in reason
    assert platform_deviation(Activation("tanh"), "float64") == (0.0, 0.0)
    assert platform_deviation(Activation("leaky_relu", {"negative_slope": 0.5}), "float64") == (2.0**-25, 0.0)
    assert platform_deviation(Activation("relu", {"max_value": 6.0}), "float64") == (0.0, 6 * 2.0**-24)
    assert platform_deviation(Activation("relu", {"max_value": 6.0}), "float32") == (0.0, 0.0)


@pytest.fixture(scope="module")
def benchmark(root, keras):
    spec = importlib.util.spec_from_file_location("activation_accuracy", root / "benchmarks" / "activation_accuracy.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("accuracy") / "state.json"


def run(benchmark, monkeypatch, state, *arguments):
    monkeypatch.setattr(sys, "argv", ["activation_accuracy", "--state", str(state), *arguments])
    return benchmark.main()


def test_every_16_bit_number_again(benchmark, monkeypatch, state, capsys):
    assert run(benchmark, monkeypatch, state, "--formats", "bfloat16", "--only", "tanh", "softplus") == 0
    table = capsys.readouterr().out
    assert "tanh" in table and "softplus" in table and "TensorFlow" in table


def test_an_unsound_constant_is_found_out(benchmark, monkeypatch, state, capsys):
    """Negative control: half of what was measured."""
    changed = {**constants.ACCURACY["bfloat16"], "tanh": Accuracy(0.45)}
    monkeypatch.setitem(constants.ACCURACY, "bfloat16", changed)
    assert run(benchmark, monkeypatch, state, "--formats", "bfloat16", "--only", "tanh") == 1
    assert "UNSOUND" in capsys.readouterr().out


def test_a_wrong_function_is_found_out_where_no_error_is_allowed(benchmark, monkeypatch, tmp_path):
    """Negative control: relu6 for relu, which is exact."""
    case = next(case for case in benchmark.CASES if case.label == "relu")
    wrong = dataclasses.replace(case, port=benchmark.activations.relu6)
    monkeypatch.setattr(benchmark, "CASES", (wrong,))
    assert run(benchmark, monkeypatch, tmp_path / "state.json", "--formats", "bfloat16", "--only", "relu") == 1


def test_what_is_measured_already_is_not_measured_again(benchmark, monkeypatch, state):
    assert run(benchmark, monkeypatch, state, "--formats", "bfloat16", "--only", "relu") == 0
    monkeypatch.setattr(benchmark, "run_case", lambda *_: pytest.fail("measured again"))
    assert run(benchmark, monkeypatch, state, "--formats", "bfloat16", "--only", "relu") == 0
