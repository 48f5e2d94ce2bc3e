"""The script that measures the activations of other runtimes: what is sound, and that it can tell what is not."""

from __future__ import annotations

import pytest

from reference.rounding import constants
from reference.rounding.constants import Accuracy

FEW = 200_003
"""One float32 in so many."""


@pytest.fixture(scope="module")
def benchmark(keras):
    from benchmarks import runtime_accuracy

    return runtime_accuracy


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnx-reference", "litert"])
@pytest.mark.parametrize("function", ["tanh", "silu", "ln"])
def test_the_constants_are_sound(benchmark, function, runtime):
    found = benchmark.examine(benchmark.case_of(function), runtime, FEW)
    assert found.is_sound and 0 < found.ratio < 1
    assert f"| {function} |" in "\n".join(benchmark.rows_of([found]))


def test_a_constant_that_is_too_small_is_told(benchmark, monkeypatch):
    monkeypatch.setitem(constants.ACCURACY["float32"], "tanh", Accuracy(1.0))
    found = benchmark.examine(benchmark.case_of("tanh"), "onnxruntime", FEW)
    assert not found.is_sound and "UNSOUND" in "\n".join(benchmark.rows_of([found]))
    rows = list(benchmark.rows_of([found]))[2:]
    assert "sound for all but tanh (onnxruntime)" in benchmark.told(rows)


@pytest.mark.parametrize("runtime", ["onnxruntime", "numpy, float64"])
def test_softmax_is_measured_row_by_row(benchmark, monkeypatch, runtime):
    assert benchmark.examine(benchmark.SOFTMAX, runtime, FEW).is_sound
    monkeypatch.setattr("benchmarks.softmax_accuracy.exact_softmax", lambda row, at: 0.5)
    assert not benchmark.examine(benchmark.SOFTMAX, runtime, FEW).is_sound


def test_what_is_wrong_in_a_runtime_is_told_against_exact_numbers(benchmark):
    case = benchmark.case_of("tanh")
    assert benchmark.exact_ratio(case, 0.5, lambda x: x - x**3 / 3) > 1000
