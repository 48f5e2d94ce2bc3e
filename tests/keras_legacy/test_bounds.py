"""Rounding bounds of attention, of statistics of the data and of vectors made length 1: Keras' own stay inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest

import reference.rounding.layers  # noqa: F401 - registers the bounds
from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.network.graph import KerasLayer
from porter.ports.keras.builders.layers import OPERATIONS
from porter.ports.keras.builders.site import Site
from porter.ports.keras.graph_model import connect
from reference.operations.attention import Attention
from reference.operations.batch_normalization import BatchNormalization
from reference.operations.dot import Dot
from reference.precision import Precision
from reference.rounding.bounds import allowed_error, inevitable_overflow
from tests.versions import needs_keras

POLICIES = ("float32", "float64", "mixed_float16")
SEEDS = 40
ROWS, QUERIES, KEYS, WIDTH = 4, 5, 6, 7


@dataclass(frozen=True)
class Case:
    """A step and the layer that is built for it.

    Attributes:
        step: from the arrays of ``draw``.
        layer: its canonical form, with arrays of the right shapes.
        draw: new arrays by Keras 3 name, from a generator and a magnitude.
        shapes: of the inputs without their rows.
        masks: which inputs have a mask; with shapes (QUERIES,) and (KEYS,).
    """

    step: Callable[[dict[str, Any]], Any]
    layer: KerasLayer
    draw: Callable[[np.random.Generator, float], dict[str, Any]]
    shapes: tuple[tuple[int, ...], ...]
    masks: tuple[bool, ...] = ()


def attention(score: str, scale: bool, causal: bool = False, masks: tuple[bool, bool] = (False, False)) -> Case:
    def draw(rng: np.random.Generator, size: float) -> dict[str, Any]:
        shape = (WIDTH,) if score == "additive" else ()
        found = {"scale": rng.normal(0, size, shape)} if scale else {}
        return found | ({"concat_score_weight": np.asarray(rng.normal(0, size))} if score == "concat" else {})

    def step(arrays: dict[str, Any]) -> Any:
        weight = arrays.get("concat_score_weight")
        return Attention("a", ("q", "v"), score, arrays.get("scale"), weight, causal, masks)  # type: ignore[arg-type]

    layer = KerasLayer("a", "Attention", "Attention", {"score": score, "use_scale": scale, "causal": causal})
    return Case(step, layer, draw, ((QUERIES, WIDTH), (KEYS, WIDTH)), masks)


def statistics(kind: str, divisor: str, epsilon: float = 1e-3) -> Case:
    def draw(rng: np.random.Generator, size: float) -> dict[str, Any]:
        return {"gamma": rng.normal(0, size, WIDTH), "beta": rng.normal(0, size, WIDTH)}

    def step(arrays: dict[str, Any]) -> Any:
        return BatchNormalization(
            "b", ("x",), arrays["gamma"], arrays["beta"], None, None, epsilon, -1, kind, divisor  # type: ignore[arg-type]
        )  # fmt: skip

    first, early = divisor == "deviation+epsilon", divisor == "sqrt(variance+epsilon)+epsilon"
    parameters = {"axis": -1, "epsilon": epsilon, "first": first, "early": early}
    operation = "SampleNorm" if kind == "sample" else "RowsNorm"
    return Case(step, KerasLayer("b", "BatchNormalization", operation, parameters), draw, ((QUERIES, WIDTH),))


def dot(*shapes: tuple[int, ...], axes: tuple[int, int], normalize: bool = False, cosine: bool = False) -> Case:
    parameters = {"axes": axes, "normalize": normalize, "cosine": cosine}
    return Case(
        lambda arrays: Dot("d", ("x", "y"), axes, normalize, cosine), KerasLayer("d", "Dot", "Dot", parameters),
        lambda rng, size: {}, shapes,
    )  # fmt: skip


CASES = {
    "dot": attention("dot", scale=False),
    "dot scaled": attention("dot", scale=True),
    "dot causal": attention("dot", scale=True, causal=True),
    "dot masked": attention("dot", scale=True, masks=(True, True)),
    "additive": attention("additive", scale=True),
    "additive unscaled": attention("additive", scale=False),
    "additive masked causal": attention("additive", scale=True, causal=True, masks=(False, True)),
    "concat": attention("concat", scale=False),
    "concat scaled masked": attention("concat", scale=True, masks=(False, True)),
    "mode 1": statistics("sample", "sqrt(variance+epsilon)+epsilon"),
    "mode 1, first": statistics("sample", "deviation+epsilon"),
    "mode 2": statistics("batch", "sqrt(variance+epsilon)"),
    "mode 2, early": statistics("batch", "sqrt(variance+epsilon)+epsilon", 1e-6),
    "proximity": dot((WIDTH,), (WIDTH,), axes=(1, 1), normalize=True),
    "proximity of sequences": dot((QUERIES, WIDTH), (WIDTH, KEYS), axes=(2, 1), normalize=True),
    "cos": dot((WIDTH,), (WIDTH,), axes=(1, 1), cosine=True),
}


class Port:
    """The layer as porter builds it, under one policy."""

    def __init__(self, case: Case, policy: str) -> None:
        self.case = case
        self.site = Site(policy, keras.DTypePolicy(policy).variable_dtype, OPERATIONS, connect)
        compute = keras.DTypePolicy(policy).compute_dtype
        self.precision = Precision(compute, self.site.dtype)
        inputs = [keras.Input(shape, dtype=compute) for shape in case.shapes]
        given = [
            keras.Input(shape[:1], dtype="bool")
            for shape, has in zip(case.shapes, case.masks or (False, False), strict=False)
            if has
        ]
        left = iter(given)
        masks = [next(left) if has else None for has in case.masks] or [None] * len(inputs)
        layer = replace(case.layer, weights=case.draw(np.random.default_rng(0), 1.0))
        outputs = OPERATIONS[layer.operation](layer, self.site)(inputs, masks)
        self.model = keras.Model([*inputs, *given], outputs[0])

    def outputs(self, arrays: dict[str, Any], feeds: list[Any]) -> np.ndarray:
        for made, _ in self.site.weights:
            roles = ("scale", "concat_score_weight", "gamma", "beta")
            own = [np.asarray(arrays[role], self.site.dtype) for role in roles if role in arrays]
            made.set_weights(own + [weight.numpy() for weight in made.weights[len(own) :]])
        return np.asarray(self.model(feeds, training=False))

    def feeds(self, rng: np.random.Generator, size: float) -> list[Any]:
        drawn: list[Any] = [
            rng.normal(0, size, (ROWS, *shape)).astype(self.precision.compute) for shape in self.case.shapes
        ]
        for shape, has in zip(self.case.shapes, self.case.masks, strict=False):
            if has:
                mask = rng.random((ROWS, shape[0])) < 0.7
                mask[0] = False  # a row in which nothing counts
                drawn.append(mask)
        return drawn

    def judge(self, arrays: dict[str, Any], feeds: list[Any], outputs: np.ndarray) -> Comparison:
        step, fed = self.case.step(arrays), tuple(np.asarray(feed, np.float64) for feed in feeds)
        with np.errstate(all="ignore"):
            trace = step(*fed)
        allowed = allowed_error(step, fed, trace, self.precision)
        unheld = inevitable_overflow(trace, self.precision)
        return compare_outputs(np.asarray(trace.outputs, np.float64), outputs, allowed, unheld=unheld)


LOST = needs_keras("3.12", "of a row in which everything is masked the softmax in float16 is NaN")


def _cases() -> list[Any]:
    every = [(name, policy) for policy in POLICIES for name in CASES]
    return [pytest.param(*each, marks=[LOST] if each == ("dot masked", "mixed_float16") else []) for each in every]


@pytest.mark.parametrize(("name", "policy"), _cases())
def test_keras_stays_inside(name: str, policy: str) -> None:
    port, found = Port(CASES[name], policy), []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        size, weight = 10 ** rng.uniform(-3, 3, 2)
        arrays, feeds = port.case.draw(rng, weight), port.feeds(rng, size)
        found.append(port.judge(arrays, feeds, port.outputs(arrays, feeds)))
    whole = merge_comparisons(found)
    assert whole.is_parity, whole
    assert whole.elements > (whole.unbounded + whole.inevitable) / 2


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.draw(np.random.default_rng(0), 1.0)])
@pytest.mark.parametrize("policy", ["float32", "float64"])
def test_one_weight_a_thousandth_off_is_outside(name: str, policy: str) -> None:
    port, rng = Port(CASES[name], policy), np.random.default_rng(5)
    arrays, feeds = port.case.draw(rng, 1.0), port.feeds(rng, 1.0)
    for role in arrays:
        wrong = {key: np.array(value) for key, value in arrays.items()}
        wrong[role].reshape(-1)[0] *= 1.001
        assert port.judge(arrays, feeds, port.outputs(arrays, feeds)).is_parity
        assert not port.judge(arrays, feeds, port.outputs(wrong, feeds)).is_parity, role


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if any(case.masks)])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_mask_that_is_ignored_is_outside(name: str, policy: str) -> None:
    port, rng = Port(CASES[name], policy), np.random.default_rng(6)
    arrays, feeds = port.case.draw(rng, 0.5), port.feeds(rng, 1.0)
    ignored = [np.ones_like(feed) if feed.dtype == bool else feed for feed in feeds]
    assert not port.judge(arrays, feeds, port.outputs(arrays, ignored)).is_parity


@pytest.mark.parametrize("policy", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mode 1", statistics("batch", "sqrt(variance+epsilon)+epsilon")), ("mode 2", CASES["mode 2, early"]),
        ("dot causal", CASES["dot scaled"]), ("proximity", dot((WIDTH,), (WIDTH,), axes=(1, 1))),
    ],
)  # fmt: skip
def test_another_rule_is_outside(name: str, other: Case, policy: str) -> None:
    right, wrong, rng = Port(CASES[name], policy), Port(other, policy), np.random.default_rng(7)
    arrays, feeds = right.case.draw(rng, 1.0), right.feeds(rng, 0.2)
    assert not right.judge(arrays, feeds, wrong.outputs(arrays, feeds)).is_parity


def test_short_vectors_are_made_length_1_as_keras_2_does() -> None:
    """Divided by at least 1e-6, where Keras 3 would by at least 1e-7."""
    port = Port(CASES["proximity"], "float32")
    feeds = [np.full((1, WIDTH), 1e-7, np.float32)] * 2
    np.testing.assert_allclose(port.outputs({}, feeds), [[WIDTH * 0.01]], rtol=1e-5)
    assert port.judge({}, feeds, port.outputs({}, feeds)).is_parity
