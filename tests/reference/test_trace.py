"""What a program leaves behind, step by step."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from reference.activations import Activation
from reference.operations.dense import Dense
from reference.operations.merging import Merge
from reference.trace import Program

RNG = np.random.default_rng(2)
X = RNG.normal(size=(5, 3))


def layer(name: str, source: str) -> Dense:
    return Dense(name, (source,), RNG.normal(size=(3, 3)), None, Activation("tanh"))


BRANCHED = Program(
    ("inputs",),
    (layer("a", "inputs"), layer("b", "a"), Merge("sum", ("a", "b"), "add"), layer("c", "sum")),
    ("sum", "c"),
)


def test_a_walk_gives_what_the_trace_holds():
    traces = BRANCHED.trace(X)
    assert list(traces) == ["a", "b", "sum", "c"]
    for name, trace in BRANCHED.walk(X):
        np.testing.assert_array_equal(trace.outputs, traces[name].outputs)
    for outputs, name in zip(BRANCHED(X), BRANCHED.outputs, strict=True):
        np.testing.assert_array_equal(outputs, traces[name].outputs)


def test_an_output_may_be_an_input():
    program = Program(("inputs",), (layer("a", "inputs"),), ("inputs", "a"))
    given, made = program(X)
    np.testing.assert_array_equal(given, X)
    assert made.shape == (5, 3)


def test_a_walk_forgets_what_nothing_takes_any_more():
    kept, alive = {}, {}
    for name, trace in BRANCHED.walk(X):
        kept[name] = weakref.ref(trace.outputs)
        del trace
        gc.collect()
        alive[name] = [each for each, reference in kept.items() if reference() is not None]
    assert alive == {"a": ["a"], "b": ["a", "b"], "sum": ["sum"], "c": ["c"]}


def test_an_unknown_step_is_named_with_those_there_are():
    with pytest.raises(KeyError, match="no step 'd'; the program has a, b, sum, c"):
        BRANCHED.step("d")
