"""A fast slice of benchmarks/keras_faults.py: mistakes in small ports of legacy Keras networks, and right ports."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from benchmarks.keras_faults import KerasBench, bench_of, forms, judge_plant, run_faithful, trials
from benchmarks.keras_networks import KINDS
from benchmarks.keras_plants import PLANTS, Planted
from benchmarks.planting import Trial, Wanted
from tests.quality.test_planted_mistakes import assert_share

Record = dict[str, Any]

SEED = 3
QUICK = (9, 8, 4, 0)
"""Networks without recurrent layers, which take longest: every third mistake of each, and pairs."""
RECURRENT = {
    2: ("gates_permuted", "recurrent_activation", "layers_swapped"),
    3: ("reset_after", "kernels_exchanged", "go_backwards", "hard_sigmoid_of_keras_3"),
    5: ("directions_exchanged", "bias_negated"),
    7: ("gates_permuted", "flatten_layout"),
    1: ("concatenation_order", "skip_missing", "padding", "dilation", "merge_mode"),
    10: ("padding_around", "pooling_window", "strides"),
}
"""Mistakes that the others do not have, by network."""


@pytest.fixture(scope="module")
def records() -> list[Record]:
    found = []
    for place, number in enumerate(QUICK):
        bench = bench_of(SEED, number, "float32" if place % 3 else "float64")
        every = trials(bench, [SEED, number], Wanted((*PLANTS, "pairs"), ("shown",)))
        for trial in itertools.islice(every, place % 3, None, 3):
            found.append({**judge_plant(bench, trial), "number": number})
    for number, only in RECURRENT.items():
        bench = bench_of(SEED, number, "float32")
        for trial in trials(bench, [SEED, number], Wanted(only, ("shown",))):
            found.append({**judge_plant(bench, trial), "number": number})
    return [record for record in found if record["true"]]


HIDDEN = {
    0: ("kernel_flipped", "bias_zero", "kernel_constant", "batch_norm_order", "activation_missing"),
    1: ("kernel_axes", "padding", "dilation", "kernel_transposed"),
    9: ("threes", "kernel_transposed", "activation_replaced"),
}
"""Mistakes in ports that hide their arrays: of what is read out, of how a layer is configured, in front of a
normalization that could have been folded."""


@pytest.fixture(scope="module")
def hidden() -> list[Record]:
    found = []
    for number, names in HIDDEN.items():
        bench = bench_of(SEED, number, "float32")
        for trial in itertools.islice(trials(bench, [SEED, number], Wanted(names, ("hidden",))), 6):
            found.append({**judge_plant(bench, trial, pasting=False), "number": number})
    return [record for record in found if record["true"]]


def test_hidden_arrays_are_told_as_far_as_they_can_be_known(hidden: list[Record]) -> None:
    assert len(hidden) >= 12 and {record["arrays"] for record in hidden} == {"hidden"}
    assert "three" in {record["kind"] for record in hidden}
    for key in ("detected", "layer", "first", "all", "sound"):
        assert_share(hidden, key, 1.0)


def test_the_slice_has_most_mistakes(records: list[Record]) -> None:
    assert len(records) >= 60
    assert len({record["name"] for record in records if record["kind"] == "single"}) >= 35


def test_mistakes_are_detected_and_their_layer_is_named(records: list[Record]) -> None:
    assert_share(records, "detected", 0.999)
    assert_share(records, "layer", 0.999)


def test_their_cause_is_named_first(records: list[Record]) -> None:
    assert_share([record for record in records if record["kind"] == "single"], "first", 0.99)


def test_both_of_two_mistakes_are_named(records: list[Record]) -> None:
    assert_share([record for record in records if record["kind"] != "single"], "all", 0.97)


def test_the_remedy_restores_parity(records: list[Record]) -> None:
    assert_share(records, "remedy", 0.99)


def test_what_is_printed_restores_parity_when_it_is_pasted(records: list[Record]) -> None:
    assert_share(records, "pasted", 1.0)
    in_place = sum(not record["anew"] for record in records)
    assert in_place >= 0.7 * len(records), f"{len(records) - in_place} of {len(records)} ask for a port built anew"


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_no_port_that_is_right_is_flagged(number: int) -> None:
    dtype = ("float32", "float64", "mixed_float16", "mixed_bfloat16")[number % 4]
    bench = bench_of(SEED, number, dtype)
    for name, model in itertools.islice(forms(bench), 2):
        _, record = bench.verify(model)
        assert record["verdict"] == "parity", f"{name} of {bench.legacy.name}: {record}"


# --- the checks of these checks ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench() -> KerasBench:
    return bench_of(SEED, 9, "float32")


def test_a_port_without_a_mistake_counts_as_missed(bench: KerasBench) -> None:
    planted = Planted(bench.right, ((frozenset({"kernel.values"}), "dense_1"),), layer="dense_1")
    record = {**judge_plant(bench, Trial("single", "control", planted, True)), "number": 9}
    assert not bench.differs(bench.right, planted)
    assert not record["detected"] and not record["layer"] and not record["first"] and not record["all"]
    with pytest.raises(AssertionError, match=r"detected in 0\.00% of 1"):
        assert_share([record], "detected", 0.999)


def test_a_mistake_called_by_another_name_or_layer_counts_as_missed(bench: KerasBench) -> None:
    planted = PLANTS["bias_negated"](bench.right, np.random.default_rng(0))
    assert planted is not None and bench.differs(bench.right, planted)
    ((codes, row),) = planted.expected
    for wrong in ((frozenset({"bias.missing"}), row), (codes, "another")):
        other = Planted(planted.port, (wrong,), layer=planted.layer)
        record = judge_plant(bench, Trial("single", "control", other, True))
        assert record["detected"] and not record["first"] and not record["all"]


def test_a_change_within_rounding_does_not_count_as_a_mistake(bench: KerasBench) -> None:
    name, kernel = next((name, own["kernel"]) for name, own in bench.right.weights.items() if "kernel" in own)
    for factor, differs in ((1 + 2e-8, False), (1 + 1e-5, True)):
        port = bench.right.set(name, kernel=(kernel.astype(np.float64) * factor).astype(np.float32))
        assert bench.differs(bench.right, Planted(port, ((frozenset(), name),), layer=name)) == differs


def test_a_change_that_hidden_arrays_do_not_show_does_not_count_as_a_mistake(bench: KerasBench) -> None:
    name, kernel = next((name, own["kernel"]) for name, own in bench.right.weights.items() if "kernel" in own)
    for factor, differs in ((1 + 1e-6, False), (1 + 1e-3, True)):
        port = bench.right.set(name, kernel=(kernel.astype(np.float64) * factor).astype(np.float32))
        planted = Planted(port, ((frozenset(), name),), layer=name)
        assert bench.differs(bench.right, planted)
        assert bench.differs(bench.right, planted, {name}) == differs


def test_ports_that_are_right_are_counted_in_every_dtype() -> None:
    records = run_faithful(SEED, 9)
    assert {record["dtype"] for record in records} == {"float32", "float64", "mixed_float16", "mixed_bfloat16"}
    assert [record for record in records if record["alarm"]] == []
