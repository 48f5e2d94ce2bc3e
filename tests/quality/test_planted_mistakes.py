"""A fast slice of benchmarks/faults.py: mistakes planted into small networks, and what porter.verify makes of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks.faults import Bench, are_true, judge_plant, trials
from benchmarks.networks import draw_legacy, fits, trained
from benchmarks.planting import Trial, Wanted, matches
from benchmarks.plants import PLANTS, Planted
from benchmarks.ports import Legacy, PortSpec, faithful

Record = dict[str, Any]

NETWORKS = 12
RARE: tuple[dict[str, Any], ...] = (
    {"kind": "aaNN", "magnitude": 1.0},
    {"activation": "leaky_relu", "last": "softmax", "depth": 2},
    {"activation": "elu(alpha=0.5)", "depth": 2, "scaling": True, "rule": "mean-std", "kind": None},
)
"""Networks in which the rarer mistakes can be made."""
WIDEST = 14
DTYPES = ("float32", "float64", "float32", "mixed_float16", "float32", "mixed_bfloat16")
MISTAKES_THAT_ARE_RARE = tuple(
    name for name in PLANTS if name.startswith(("transform", "softmax", "activation_slope", "scaling_multiplied"))
)


def small_port(number: int, **fixed: Any) -> tuple[Legacy, PortSpec]:
    """A network of at most three layers, and a port of it that is right."""
    rng = np.random.default_rng([7, number])
    small = [legacy for legacy in trained() if max(legacy.widths) <= 24]
    fixed = {"depth": 1 + number % 3, "width": WIDEST, **fixed}
    legacy = small[number % len(small)] if number % 6 == 5 and len(fixed) == 2 else draw_legacy(rng, **fixed)
    dtype = DTYPES[number % len(DTYPES)]
    dtype = dtype if fits(legacy, faithful(legacy), dtype) else "float64"
    return legacy, faithful(legacy, dtype, fused=bool(number % 3))


def missed(records: Sequence[Record], key: str) -> list[str]:
    """What was not found, for the message of a test that fails."""
    return [
        f"{record['name']} in network {record['number']}, {record['network']} {record['dtype']}: wanted "
        f"{record['expected']}, got {record['verdict']} {record['findings']} {record['error'] or ''}"
        for record in records
        if not record[key]
    ]


def assert_share(records: Sequence[Record], key: str, least: float) -> None:
    """At least that share of the records has it."""
    assert records, "nothing was planted"
    without = missed(records, key)
    share = 1 - len(without) / len(records)
    assert share >= least, f"{key} in {share:.2%} of {len(records)}, wanted {least:.2%}:\n" + "\n".join(without[:10])


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Every second mistake that applies to each network, then those that need a network of their own."""
    found = []
    for number in range(NETWORKS):
        legacy, spec = small_port(number)
        bench = Bench(legacy)
        every = trials(legacy, spec, [7, number], Wanted((*PLANTS, "pairs"), ("shown",)))
        for trial in itertools.islice(every, number % 2, None, 2):
            # Once more for each mistake: of half of the networks, and where few networks allow it.
            bench.pasting = number % 2 == 0 or trial.name == "layers_swapped"
            found.append({**judge_plant(bench, trial), "number": number})
    for number, fixed in enumerate(RARE * 2, start=100):
        legacy, spec = small_port(number, **fixed)
        bench = Bench(legacy)
        for trial in trials(legacy, spec, [7, number], Wanted(MISTAKES_THAT_ARE_RARE, ("shown",))):
            found.append({**judge_plant(bench, trial), "number": number})
    for number in range(200, 206):
        legacy, spec = small_port(number, activation="tanh", last="relu", kind=None)
        for trial in trials(legacy, spec, [7, number], Wanted(("output_relu_missing",), ("shown",))):
            found.append({**judge_plant(Bench(legacy), trial), "number": number})
    return [record for record in found if record["true"]]


@pytest.fixture(scope="module")
def harder() -> list[Record]:
    """Threes of mistakes, and ports that hide their arrays."""
    found = []
    for number in (2, 4):
        legacy, spec = small_port(number)
        bench = Bench(legacy, pasting=False)
        threes = itertools.islice(trials(legacy, spec, [7, number], Wanted(("threes",), ("shown",))), 2)
        hidden = itertools.islice(trials(legacy, spec, [7, number], Wanted((), ("hidden",))), number, None, 9)
        found += [{**judge_plant(bench, trial), "number": number} for trial in (*threes, *hidden)]
    return [record for record in found if record["true"]]


def single(records: Sequence[Record], *names: str) -> list[Record]:
    """The mistakes that were planted alone, of those names or of any."""
    return [record for record in records if record["kind"] == "single" and (not names or record["name"] in names)]


def test_the_slice_is_large_and_has_every_mistake_that_small_networks_allow(records: list[Record]) -> None:
    assert len(records) >= 270
    assert set(PLANTS) - {record["name"] for record in records} <= {"text_order"}


def test_mistakes_are_detected(records: list[Record]) -> None:
    assert_share(records, "detected", 0.999)


def test_their_layer_is_named(records: list[Record]) -> None:
    assert_share(records, "layer", 0.999)


def test_their_cause_is_named_first(records: list[Record]) -> None:
    assert_share(single(records), "first", 0.99)


def test_both_of_two_mistakes_are_named(records: list[Record]) -> None:
    assert_share([record for record in records if record["kind"] != "single"], "all", 0.97)


def test_the_remedy_restores_parity(records: list[Record]) -> None:
    assert_share(records, "remedy", 0.99)


def test_what_is_printed_restores_parity_when_it_is_pasted(records: list[Record]) -> None:
    pasted = [record for record in records if "pasted" in record]
    assert len(pasted) >= 100
    assert_share(pasted, "pasted", 1.0)
    in_place = sum(not record["anew"] for record in pasted)
    assert in_place >= 0.7 * len(pasted), f"{len(pasted) - in_place} of {len(pasted)} ask for a port built anew"


def test_a_remedy_of_every_kind_of_mistake_is_pasted(records: list[Record]) -> None:
    codes = {code for record in records if "pasted" in record for code, *_ in record["findings"]}
    assert codes >= {
        "kernel.transposed", "kernel.reshaped", "kernel.flipped", "kernel.augmented", "kernel.values",
        "kernel.precision", "kernel.unset", "bias.missing", "bias.negated", "bias.values", "activation.replaced",
        "activation.missing", "activation.added", "activation.parameter", "units.permuted", "inputs.permuted",
        "outputs.permuted", "biases.swapped", "layers.swapped", "layers.missing", "layers.repeated",
        "scaling.missing", "scaling.range", "scaling.inverted", "scaling.swapped", "scaling.repeated",
        "transform.replaced", "mode.training", "precision.port",
    }  # fmt: skip


def test_a_missing_output_relu_that_no_input_shows_is_always_found(records: list[Record]) -> None:
    assert_share(single(records, "output_relu_missing"), "first", 1.0)


def test_one_weight_changed_by_a_relative_1e_4_is_found(records: list[Record]) -> None:
    assert_share(single(records, "one_weight_0.0001"), "detected", 0.995)


def test_one_weight_changed_by_a_relative_1e_6_is_found(records: list[Record]) -> None:
    assert_share(single(records, "one_weight_1e-06"), "detected", 0.75)


def test_threes_and_hidden_arrays_are_told_as_far_as_they_can_be_known(harder: list[Record]) -> None:
    assert len(harder) >= 14 and {record["arrays"] for record in harder} == {"shown", "hidden"}
    assert {record["kind"] for record in harder} >= {"single", "three"}
    for key, least in (("detected", 1.0), ("layer", 1.0), ("first", 0.93), ("all", 0.93), ("sound", 0.93)):
        assert_share(harder, key, least)


# --- the checks of these checks ---------------------------------------------------------------------------------------


def judged(change: Planted | None) -> Record:
    legacy, spec = small_port(2, activation="tanh", last="linear", kind=None)
    planted = Planted(spec, ((frozenset({"kernel.values"}), "Layer1"),)) if change is None else change
    return {**judge_plant(Bench(legacy), Trial("single", "control", planted, True)), "number": 2}


def test_a_port_without_a_mistake_counts_as_missed() -> None:
    record = judged(None)
    assert not record["detected"] and not record["layer"] and not record["first"] and not record["all"]
    with pytest.raises(AssertionError, match=r"detected in 0\.00% of 1.*\n.*wanted .*kernel\.values.*got parity"):
        assert_share([record], "detected", 0.999)


def test_a_mistake_called_by_another_name_or_layer_counts_as_missed() -> None:
    legacy, spec = small_port(2, activation="tanh", last="linear", kind=None)
    planted = PLANTS["bias_negated"](legacy, spec, np.random.default_rng(0))
    assert planted is not None
    ((codes, row),) = planted.expected
    for wrong in ((frozenset({"bias.missing"}), row), (codes, "Layer99")):
        record = judged(Planted(planted.port, (wrong,)))
        assert record["detected"] and not record["first"] and not record["all"] and not record["sound"]


def test_arrays_that_are_hidden_and_right_count_as_missed() -> None:
    _, spec = small_port(2, activation="tanh", last="linear", kind=None)
    wanted = ((frozenset({"kernel.values"}), "Layer1"),)
    record = judged(Planted(spec, wanted, hidden=frozenset({"Layer1", "Layer2"})))
    assert record["arrays"] == "hidden" and record["verdict"] == "parity" and not record["detected"]


def test_a_hidden_weight_counts_only_where_outputs_show_it() -> None:
    _, spec = small_port(2, activation="tanh", last="linear", kind=None)
    for factor, is_hidden_true in ((1 + 4e-7, False), (1 + 1e-3, True)):
        kernel = spec.layers[0].kernel.copy()
        kernel[np.unravel_index(np.argmin(np.abs(kernel)), kernel.shape)] *= factor
        made = [Planted(spec.layer(0, kernel=kernel), ((frozenset({"kernel.values"}), "Layer1"),))]
        assert are_true(spec, made)
        assert are_true(spec, made, frozenset({"Layer1"})) == is_hidden_true


def test_unexplained_is_enough_only_where_numbers_read_out_cannot_tell() -> None:
    legacy, spec = small_port(2, activation="tanh", last="linear", kind=None)
    names = ("kernel_flipped", "kernel_unset", "one_weight_0.0001", "bias_negated")
    found = {trial.name: trial.planted for trial in trials(legacy, spec, [7, 2], Wanted(names, ("hidden",)))}
    assert set(found) == set(names)
    for name, planted in found.items():
        ((codes, row),) = planted.expected
        assert row in planted.hidden
        assert ("unexplained" in codes) == (name == "one_weight_0.0001")


def test_nothing_planted_is_no_success() -> None:
    with pytest.raises(AssertionError, match="nothing was planted"):
        assert_share([], "detected", 0.0)


def test_one_of_two_names_is_not_both() -> None:
    expected = ((frozenset({"bias.negated"}), "Layer1"), (frozenset({"kernel.transposed"}), "Layer2"))
    named = [("bias.negated", "Layer1")]
    assert matches(expected, named[0])
    assert not all(any(matches((one,), other) for other in named) for one in expected)
