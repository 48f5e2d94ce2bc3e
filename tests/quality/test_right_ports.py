"""Ports that are right, in every form and dtype: none may be flagged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.equivalents import equivalents
from benchmarks.faults import DTYPES, Bench
from benchmarks.networks import draw_legacy, fits, trained
from benchmarks.plants import PLANTS, Planted
from benchmarks.ports import Legacy, faithful

Record = dict[str, Any]

NETWORKS = 6


def network(number: int) -> Legacy:
    """A small network of any magnitude and activation, every fifth a trained one."""
    rng = np.random.default_rng([8, number])
    small = [legacy for legacy in trained() if max(legacy.widths) <= 24]
    return small[number % len(small)] if number % 5 == 4 else draw_legacy(rng, depth=1 + number % 3, width=14)


def verified(legacy: Legacy, number: int) -> list[Record]:
    """Every form in every dtype that the network's own values fit into."""
    bench, records = Bench(legacy), []
    for dtype in DTYPES:
        right = faithful(legacy, dtype, fused=bool(number % 2))
        if fits(legacy, right, dtype):
            for form in equivalents(legacy, right, np.random.default_rng([8, number])):
                records.append({"name": form.name, **bench.verify(Planted(form.spec, (), form.options))[1]})
    return records


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [record for number in range(NETWORKS) for record in verified(network(number), number)]


def alarms(records: list[Record]) -> list[str]:
    return [
        f"{record['name']}: {record['network']} {record['activations']} {record['dtype']}: {record['verdict']} "
        f"{record['findings']} {record['error'] or ''}"
        for record in records
        if record["verdict"] != "parity"
    ]


def test_the_slice_is_large_and_has_every_form_and_dtype(records: list[Record]) -> None:
    assert len(records) >= 200
    assert {record["dtype"] for record in records} == set(DTYPES)
    assert {record["name"] for record in records} >= {
        "faithful", "activations fused", "activations standing alone", "idle layers in between",
        "hidden units permuted", "hidden signs flipped", "every hidden layer permuted",
        "scaling folded", "scaling folded in float32", "scaling outside", "2 sigmoid(2x) - 1",
    }  # fmt: skip


def test_no_port_that_is_right_is_flagged(records: list[Record]) -> None:
    found = alarms(records)
    assert not found, f"{len(found)} false alarms among {len(records)}:\n" + "\n".join(found[:10])


def test_a_port_that_is_wrong_would_be_counted() -> None:
    legacy = draw_legacy(np.random.default_rng(0), depth=2, width=8, activation="tanh", last="linear", kind=None)
    planted = PLANTS["bias_negated"](legacy, faithful(legacy), np.random.default_rng(0))
    assert planted is not None
    _, record = Bench(legacy).verify(Planted(planted.port, ()))
    assert len(alarms([{"name": "control", **record}])) == 1
