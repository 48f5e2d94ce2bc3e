"""A dense layer on the last axis of arrays with any number of them."""

from __future__ import annotations

from dataclasses import dataclass

from reference.operations.dense import Dense


@dataclass(frozen=True)
class TimewiseDense(Dense):
    """``Dense`` with an inputs-first kernel on (rows, ..., inputs), every place alone.

    Source: Keras 2 documentation, Dense ("inputs with a rank greater than 2").
    """
