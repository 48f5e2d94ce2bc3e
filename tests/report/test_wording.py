from __future__ import annotations

from dataclasses import replace

import pytest

from porter.report.wording import (
    facts,
    headline,
    mended,
    number,
    printable,
    remedy_blocks,
    series,
    setting,
    share,
    tally,
    unproven,
)
from tests.report.examples import inconclusive, mismatch, parity


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (0.0, "0"), (1.234e-7, "1.23e-07"), (float("inf"), "inf"), (float("nan"), "nan")],
)
def test_number(value, expected):
    assert number(value) == expected


@pytest.mark.parametrize(
    ("exceeding", "elements", "expected"),
    [
        (1, 100_000, "1 of 100,000 (0.001 %)"),
        (99_999, 100_000, "99,999 of 100,000 (> 99 %)"),
        (5, 5, "5 of 5 (100 %)"),
        (0, 5, "0 of 5 (0 %)"),
        (0, 0, "0 of 0 (0 %)"),
    ],
)
def test_share_rounds_neither_to_none_nor_to_all(exceeding, elements, expected):
    assert share(exceeding, elements) == expected


def test_printable_spells_out_what_cannot_be_seen():
    assert printable("a\x1b\u202e\u200b\ud800é\n") == "a\\x1b\\u202e\\u200b\\ud800é\n"


@pytest.mark.parametrize(
    ("remedy", "expected"),
    [
        ("layer.kernel.assign(kernel.T)", [(True, "layer.kernel.assign(kernel.T)")]),
        ('activation = "tanh"  # a recipe', [(True, 'activation = "tanh"  # a recipe')]),
        ("say where the scaling is: --placement outside", [(False, "say where the scaling is: --placement outside")]),
        (
            "Do this:\n    a = 1\n    b = 2\n\nthen look",
            [(False, "Do this:"), (True, "a = 1\nb = 2"), (False, "then look")],
        ),
        ("zero\x00byte", [(False, "zero\x00byte")]),
        ("", []),
    ],
)
def test_code_is_told_from_sentences(remedy, expected):
    finding = replace(mismatch().findings[0], remedy=remedy)
    assert remedy_blocks(finding) == expected


def test_headlines():
    assert headline(mismatch()).startswith("Layer2: The kernel")
    named = replace(mismatch().findings[0], message="Layer2: the kernel stands transposed")
    assert headline(replace(mismatch(), findings=(named,))) == "Layer2: the kernel stands transposed"
    assert headline(inconclusive()) == "Norm_out: not compared, so parity is not shown."
    contradicted = tuple(replace(claim, evidence="contradicted") for claim in inconclusive().claims)
    rows = inconclusive().layers[:1]
    assert "contradicted" in headline(replace(inconclusive(), layers=rows, claims=contradicted))
    assert "the notes say" in headline(replace(inconclusive(), layers=rows))
    told = [replace(one, verdict="mismatch") if one.name == "onnxruntime" else one for one in parity().witnesses]
    found = headline(replace(parity(), verdict="mismatch", witnesses=tuple(told)))
    assert found == "As run by onnxruntime, the port differs by more than rounding explains."


def test_facts_that_were_not_measured_are_left_out():
    report, finding = mismatch(), mismatch().findings[0]
    names = [name for name, _ in facts(report, finding)]
    assert names == ["layer", "elements", "worst", "would pass", "cause", "evidence", "remedy", "afterwards"]
    unmeasured = replace(report, layers=(), pictures={})
    assert [name for name, _ in facts(unmeasured, finding)] == ["layer", "cause", "evidence", "remedy"]


def test_assumptions_are_grouped_and_say_how_to_prove_them():
    ((sentence, detail),) = unproven(parity().claims)
    assert sentence == "Assumed: the activation of Layer1 and Layer2 is tanh."
    assert "--samples" in detail
    silent = [replace(claim, detail="") for claim in parity().claims]
    assert unproven(silent)[0][1].startswith("To prove it")


def test_what_the_remedies_lead_to_is_said():
    assert mended(mismatch()) == "With all remedies applied, the port was verified again: parity."
    one = replace(mismatch(), findings=mismatch().findings[:1], after_remedy="mismatch")
    assert mended(one) == "With the remedy applied, the port was verified again: mismatch."
    assert mended(parity()) is None


def test_series():
    assert series(["a"]) == "a"
    assert series(["a", "b", "a", "c"]) == "a, b and c"


def test_the_headline_of_a_reduced_precision_port_says_so():
    first, *rest = parity().layers
    rows = (replace(first, dtype="float32"), *(replace(row, dtype="float16") for row in rest))
    assert "within the rounding of float16, wherever" in headline(replace(parity(), layers=rows))
    assert "within rounding, wherever" in headline(parity())


def test_mistakes_are_counted():
    assert tally(mismatch()) == "2 mistakes in 2 of 3 layers"
    assert tally(replace(mismatch(), findings=mismatch().findings[:1])) == "1 mistake in 1 of 3 layers"
    assert tally(parity()) is None


def test_a_finding_says_its_layer_once_and_shares_what_another_has_said():
    first, second = mismatch().findings
    both = tuple(
        replace(finding, layer="Layer2", message=f"Layer2: {finding.message}", evidence="alike")
        for finding in (first, second)
    )
    report = replace(mismatch(), findings=both)
    told = dict(facts(report, both[0]))
    assert told["cause"] == first.message and told["evidence"] == "alike" and "worst" in told
    assert [name for name, _ in facts(report, both[1])] == ["layer", "cause", "remedy"]


def test_what_is_pasted_first_says_how_both_sides_are_made():
    assert setting(mismatch()).splitlines() == [
        "import keras", "import porter",
        "network = porter.read('nets/PACE_example_aaNN.h5', output_activation='linear')",
        "model = keras.models.load_model('aa.keras', compile=False)",
    ]  # fmt: skip
    in_memory = replace(mismatch(), provenance={**mismatch().provenance, "port": None})
    assert setting(in_memory).endswith("# model is the keras.Model that was given to porter.verify")
    prose = tuple(replace(finding, remedy="look for it") for finding in mismatch().findings)
    assert setting(replace(mismatch(), findings=prose)) is None
