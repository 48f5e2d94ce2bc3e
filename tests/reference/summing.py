"""Dot products in every order, one rounding at a time, and their exact values."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def exact(weights, x, bias):
    """The sum as a fraction."""
    return sum(
        (Fraction(float(w)) * Fraction(float(v)) for w, v in zip(weights, x, strict=True)), Fraction(float(bias))
    )


def leaves(weights, x, bias, dtype):
    """Rounded products and the bias."""
    return [*(dtype(w) * dtype(v) for w, v in zip(weights, x, strict=True)), dtype(bias)]


def sequential(terms):
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def pairwise(terms):
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return pairwise(terms[:half]) + pairwise(terms[half:])


def in_any_tree(terms, rng):
    """Two partial sums at a time, drawn at random."""
    terms = list(terms)
    while len(terms) > 1:
        first, second = (terms.pop(rng.integers(len(terms))) for _ in range(2))
        terms.append(first + second)
    return terms[0]


def fused(weights, x, bias, dtype):
    """Fused multiply-add: each product is added exactly, then rounded once."""
    total = dtype(bias)
    for w, v in zip(weights, x, strict=True):
        # Two 24-bit factors fit 53 bits; the sum is rounded twice, to float64 first, which costs 2**-53 at most.
        total = dtype(float(w) * float(v) + float(total))
    return total


def all_ways(weights, x, bias, rng, dtype=np.float32):
    """By name, the sum in many orders."""
    terms = leaves(weights, x, bias, dtype)
    by_size = sorted(terms, key=abs)
    return {
        "sequential": sequential(terms),
        "reversed": sequential(terms[::-1]),
        "pairwise": pairwise(terms),
        "smallest first": sequential(by_size),
        "largest first": sequential(by_size[::-1]),
        "positive first": sequential(sorted(terms, reverse=True)),
        "any tree": in_any_tree(terms, rng),
        "fused": fused(weights, x, bias, dtype),
        "fused reversed": fused(weights[::-1], x[::-1], bias, dtype),
    }
