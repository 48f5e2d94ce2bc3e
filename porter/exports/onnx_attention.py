"""Attention without heads, in operations of ONNX."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from porter.errors import UnbuildableError
from porter.exports.onnx_site import OnnxSite
from porter.exports.unit import Make, Unit

TAKEN = 1e9
"""What is taken from the score of a key that does not count. Source: tf.keras 2, BaseDenseAttention."""


def attention(site: OnnxSite, unit: Unit) -> list[str]:
    """Attention and AdditiveAttention: softmax of the scores, times the values.

    Raises:
        UnbuildableError: a causal one over time axes that are left open.
    """
    if any(len(shape) != 2 for shape in unit.shapes):
        raise UnbuildableError(f"{unit.name} as ONNX", found="an attention over the rows of a batch")
    query, value, *rest = unit.inputs
    scores = _scores(site, unit, query, rest[0] if rest else value)
    given = [*unit.masks, None, None]
    allowed = None if given[1] is None else site.add("Unsqueeze", given[1], site.whole([1]))
    if unit.parameters["causal"]:
        past = _past(site, unit)
        allowed = past if allowed is None else site.add("And", allowed, past)
    if allowed is not None:
        scores = site.add("Where", allowed, scores, site.add("Sub", scores, site.real(TAKEN)))
    answer = site.add("MatMul", site.add("Softmax", scores, axis=-1), value)
    if given[0] is None:
        return [answer]
    return [site.add("Mul", answer, site.cast(site.add("Unsqueeze", given[0], site.whole([2]))))]


def _scores(site: OnnxSite, unit: Unit, query: str, key: str) -> str:
    """(rows, queries, keys)."""
    p, weights = unit.parameters, unit.weights
    scale = site.real(weights["scale"]) if "scale" in weights else None
    if p["score"] == "dot":
        found = site.add("MatMul", query, site.transpose(key, [0, 2, 1]))
        return found if scale is None else site.add("Mul", found, scale)
    both = site.add("Add", site.add("Unsqueeze", query, site.whole([2])), site.add("Unsqueeze", key, site.whole([1])))
    if p["score"] == "concat" and scale is not None:
        both = site.add("Mul", both, scale)
    bent = site.add("Tanh", both)
    if p["score"] == "additive" and scale is not None:
        bent = site.add("Mul", bent, scale)
    total = site.add("ReduceSum", bent, site.whole([-1]), keepdims=0)
    weight = weights.get("concat_score_weight") if p["score"] == "concat" else None
    return total if weight is None else site.add("Mul", total, site.real(weight))


def _past(site: OnnxSite, unit: Unit) -> str:
    """(1, queries, keys) of bool: no key behind the query."""
    queries, keys = unit.shapes[0][0], unit.shapes[-1 if len(unit.shapes) > 2 else 1][0]
    if queries is None or keys is None:
        raise UnbuildableError(f"{unit.name} as ONNX", found="a causal attention over time axes that are left open")
    return site.constant(np.tril(np.ones((1, queries, keys), bool)))


ATTENTION: Mapping[str, Make] = {"Attention": attention}
