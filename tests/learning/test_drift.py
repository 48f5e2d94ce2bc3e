"""How far a network has moved: layer by layer, with intervals that say what they can."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import porter
from porter import cli
from porter.errors import PorterError, UsageError
from porter.learning.bootstrap import compare_errors
from porter.learning.drift import drift
from porter.learning.drift_text import render_drift


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in this process: (status, stdout, stderr)."""

    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["porter", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        code = left.value.code
        captured = capsys.readouterr()
        return 0 if code is None else code, captured.out, captured.err

    return run_command


def nudged(model, layer, change):
    array, *rest = model.get_layer(layer).get_weights()
    model.get_layer(layer).set_weights([change(array), *rest])
    return model


def test_a_port_of_the_file_has_not_moved(keras, mixed):
    report = drift(mixed, porter.build(mixed))
    assert report.verdict == "parity" and all(change.identical for change in report.changes)
    assert report.outputs[0].moved == 0 and not report.regions and not report.findings
    assert str(report).startswith("UNCHANGED\nNothing has moved")


def test_one_bit_is_seen_and_where(keras, mixed):
    tuned = nudged(porter.build(mixed), "Layer3", lambda k: np.where(k == k[2, 5], np.nextafter(k, 9), k))
    report = drift(mixed, tuned)
    assert report.verdict == "drift"
    row = next(change for change in report.changes if change.layer == "Layer3")
    assert (row.changed, row.where, row.verdict) == (1, "kernel[2, 5]", "moved")
    assert drift(mixed, tuned, frozen="until:Layer3").verdict == "mismatch"
    tuned.get_layer("Layer3").trainable = False
    assert drift(mixed, tuned).verdict == "mismatch"


def test_a_layer_alone_is_told_from_what_comes_before_it(keras, mixed):
    report = drift(mixed, nudged(porter.build(mixed), "Layer2", lambda k: 1.1 * k))
    by_name = {change.layer: change for change in report.changes}
    assert by_name["Layer1"].isolated == by_name["Layer1"].cumulative == 0
    assert by_name["Layer2"].isolated == by_name["Layer2"].cumulative > 0.01
    assert by_name["Layer3"].isolated == 0 < by_name["Layer3"].cumulative
    assert by_name["Layer2"].norm == pytest.approx(0.1, rel=0.05)


def test_a_scaling_that_differs_is_seen_though_it_is_no_weight(keras, mixed, fixtures):
    model = porter.build(mixed)
    config = model.get_config()
    for layer in config["layers"]:
        if layer["config"]["name"] == "Norm_in":
            scale = layer["config"]["scale"]
            values = scale["config"]["value"] if isinstance(scale, dict) else scale
            values[0] = values[0] * 1.5
    other = keras.Model.from_config(config)
    other.set_weights(model.get_weights())
    report = drift(mixed, other)
    assert report.verdict == "mismatch" and report.findings[0].layer == "Norm_in"


def with_config(keras, model, layer, **changes):
    """The same arrays in layers of other settings."""
    config = model.get_config()
    for each in config["layers"]:
        if each["config"]["name"] == layer:
            each["config"] |= changes
    other = keras.Model.from_config(config)
    other.set_weights(model.get_weights())
    return other


def test_the_same_arrays_under_another_activation_have_moved(keras, mixed):
    model = porter.build(mixed)
    report = drift(model, with_config(keras, model, "Layer2", activation="elu"))
    row = next(change for change in report.changes if change.layer == "Layer2")
    assert report.verdict == "drift" and row.verdict == "moved" and row.where == "what it computes, not in its arrays"
    report = drift(model, with_config(keras, model, "Layer2", activation="elu"), frozen="Layer2")
    assert report.verdict == "mismatch" and "what it computes" in report.findings[0].evidence


def test_a_layer_without_arrays_that_came_or_went_leaves_it_open(keras, mixed):
    model = porter.build(mixed)
    longer = keras.Sequential([*model.layers, keras.layers.ReLU(name="new")])
    report = drift(model, longer)
    assert report.verdict == "inconclusive" and "none before, ReLU now" in report.notes[0]
    idle = keras.Sequential([*model.layers, keras.layers.Dropout(0.1)])
    assert drift(model, idle).verdict == "parity"


def test_a_wider_dtype_with_the_same_values_has_not_moved(keras, mixed):
    model = porter.build(mixed)
    wide = porter.build(mixed, dtype="float64")
    wide.set_weights(model.get_weights())
    report = drift(model, wide, frozen="Layer1")
    assert report.verdict == "parity" and all(change.changed == 0 for change in report.changes)


def test_tokens_are_taken_from_the_samples(keras):
    layers = [keras.layers.Embedding(20, 4, name="words"), keras.layers.Flatten(), keras.layers.Dense(2, name="out")]
    model = keras.Sequential([keras.Input((5,), dtype="int32"), *layers])
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 20, (40, 5)), rng.random((40, 2))
    tuned = keras.models.clone_model(model)
    tuned.set_weights(model.get_weights())
    nudged(tuned, "words", lambda array: array + 0.1)
    report = drift(model, tuned, samples=samples)
    assert report.verdict == "drift" and report.outputs[0].moved > 0
    assert drift(model, tuned).verdict == "drift"


def test_two_tuned_models_are_compared_the_same_way(keras, mixed):
    first, second = (nudged(porter.build(mixed), "Layer5", lambda k, f=factor: f * k) for factor in (1.1, 1.2))
    report = drift(first, second)
    assert {change.layer: change.verdict for change in report.changes}["Layer5"] == "moved"
    assert report.provenance["legacy"] == first.name


def test_other_names_are_paired_by_order_and_said_so_and_others_are_not(keras, mixed):
    model = porter.build(mixed)
    renamed = keras.Sequential([keras.Input((7,)), *(
        type(layer).from_config({**layer.get_config(), "name": f"part{k}"}) for k, layer in enumerate(model.layers[1:])
    )])  # fmt: skip
    renamed.set_weights(model.get_weights())
    report = drift(model, renamed)
    assert report.verdict == "parity" and "paired by their order" in report.notes[0]
    shorter = keras.Model(model.inputs, model.get_layer("Layer4").output)
    with pytest.raises(PorterError, match="7 and 10 outputs"):
        drift(model, shorter)
    wider = keras.Sequential([*model.layers[:-2], keras.layers.Dense(7, name="head"), model.layers[-1]])
    report = drift(model, wider)
    assert report.verdict == "inconclusive" and "Layer5 and head: not compared" in str(report).replace("\n", " ")
    with pytest.raises(UsageError, match="same names and shapes"):
        drift(model, keras.Sequential([keras.Input((7,)), keras.layers.Dense(7, name="other")]))


@pytest.mark.parametrize("placement", ["folded", "outside"])
def test_the_placement_comes_from_the_record_or_is_asked_for(keras, fixtures, tmp_path, placement):
    file = fixtures / "ocean_7-100-75-50-25-7.h5"
    porter.port(file, tmp_path / "a.keras", placement=placement, search=False)
    assert drift(file, tmp_path / "a.keras").verdict == "parity"
    model = keras.saving.load_model(tmp_path / "a.keras")
    with pytest.raises(UsageError, match="--placement"):
        drift(file, model)
    assert drift(file, model, placement=placement).verdict == "parity"


def test_rows_outside_the_documented_range_are_counted(keras, mixed, matchups):
    x, y = matchups(60)
    x[:3, 2] = 0.05
    x[5, 0] = 9.0
    report = drift(mixed, porter.build(mixed), samples=(x, y))
    assert "extrapolation: 4 of 60 rows lie outside the documented range, in inputs[2], inputs[0]" in report.notes


def test_too_few_rows_for_an_interval_are_told(keras, mixed, matchups):
    tuned = nudged(porter.build(mixed), "Layer5", lambda k: 1.1 * k)
    x, y = matchups(40)
    sites = {"inputs": x, "targets": y, "site": np.arange(40) // 8}
    told = "no intervals: 5 groups of rows are fewer than the 8 that a bootstrap needs; give more"
    assert told in drift(mixed, tuned, samples=sites, group="site").notes
    assert not any("no intervals" in note for note in drift(mixed, tuned, samples=(x, y)).notes)


# --- the bootstrap ---


def test_the_interval_covers_what_it_says():
    """Two models of the same error: 95 % of the intervals hold zero, give or take what 200 draws of 95 % vary."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shared = rng.standard_normal((80, 1))
        errors = [shared + 0.3 * rng.standard_normal((80, 1)) for _ in range(2)]
        found = compare_errors(*errors, None, seed)
        held += found.low[0] <= 0 <= found.high[0]
    # Quantiles of resamples are a little narrow for 80 rows; three deviations of a binomial are 0.046.
    assert 0.95 - 0.06 <= held / 200 <= 0.995


def test_pairing_sees_what_two_intervals_apart_would_not():
    rng = np.random.default_rng(0)
    hard = 5 * rng.standard_normal((300, 1))
    found = compare_errors(hard, 0.99 * hard, None, 0)
    assert found.high[0] < 0
    shuffled = compare_errors(hard, 0.99 * hard[rng.permutation(300)], None, 0)
    assert shuffled.low[0] < 0 < shuffled.high[0]  # it can fail


def test_rows_of_one_group_count_as_one():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((10, 1))
    legacy, tuned = (np.repeat(base + shift, 30, axis=0) for shift in (0.0, 0.05))
    groups = np.repeat(np.arange(10), 30)
    alone, together = (compare_errors(legacy, tuned, one, 0) for one in (None, groups))
    assert together.independent == 10 and alone.independent == 300
    assert together.high[0] - together.low[0] > 3 * (alone.high[0] - alone.low[0])
    few = compare_errors(legacy, tuned, np.repeat(np.arange(3), 100), 0)
    assert np.isnan(few.low[0]) and few.independent == 3


# --- the renderings ---


@pytest.fixture(scope="module")
def moved(keras, mixed, matchups):
    return drift(mixed, nudged(porter.build(mixed), "Layer2", lambda k: 1.1 * k), samples=matchups(80), frozen="Layer2")


def test_the_text_says_the_verdict_first_and_keeps_its_width(moved):
    text = render_drift(moved, 100)
    assert text.startswith("MOVED\nLayer2: meant to stay as it was, and it has moved.\n")
    assert ("frozen.moved" in text and "no clear difference" in text) or "worse" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b[" in render_drift(moved, 100, color=True) and "\x1b[" not in text


def test_trials_are_shown_whole(moved):
    from dataclasses import replace

    from porter.learning.tuning import Trial

    values = {"learning_rate": 0.00234, "schedule": "inverse_time", "batch_size": 32, "frozen_layers": 2}
    trials = Trial("0", values, 8.5e-4, 4, "COMPLETED"), Trial("1", values, None, 4, "FAILED")
    text = render_drift(replace(moved, trials=trials), 80)
    assert "8.5e-04        4   learning_rate 0.0023, schedule inverse_time" in text and "failed" in text


def test_the_json_has_the_keys_of_a_report_and_its_own(moved):
    content = json.loads(moved.to_json())
    assert content["verdict"] == "mismatch" and content["findings"][0]["code"] == "frozen.moved"
    assert {row["layer"] for row in content["changes"]} == {row["layer"] for row in content["layers"]}
    assert content["outputs"][0]["legacy"] is not None and content["regions"]


def test_the_page_stands_alone_and_escapes_what_it_shows(moved, tmp_path):
    moved.to_html(tmp_path / "drift.html")
    page = (tmp_path / "drift.html").read_text()
    assert page.count("<svg") == 3 and "<script" not in page and 'src="http' not in page
    assert "MOVED" in page and "frozen.moved" in page and "95 % interval" in page
    from dataclasses import replace

    evil = replace(moved, notes=("<b>bold</b>",))
    evil.to_html(tmp_path / "evil.html")
    assert "&lt;b&gt;bold" in (tmp_path / "evil.html").read_text()


# --- the command line ---


def test_finetune_then_drift_by_command(keras, run, fixtures, matchups, tmp_path):
    x, y = matchups(150)
    np.savez(tmp_path / "data.npz", inputs=x, outputs=y)
    file = fixtures / "mean_std_7-16-7.h5"
    port, tuned = tmp_path / "aa.keras", tmp_path / "tuned.keras"
    assert porter.port(file, port, scaling="mean-std", search=False).verdict == "parity"
    how = ["--epochs", 2, "--freeze", "Layer1", "--json", "--html", tmp_path / "a.html"]
    status, out, err = run("finetune", port, tmp_path / "data.npz", "-o", tuned, *how)
    assert status == 0 and json.loads(out)["verdict"] == "drift" and "tuned.run" in err, err
    assert (tmp_path / "a.html").exists()
    status, out, _ = run("drift", port, tuned, "--samples", tmp_path / "data.npz")
    assert status == 0 and out.startswith("DRIFT\n") and "Layer1" in out
    status, out, _ = run("drift", port, tuned, "--freeze", "until:Layer2")
    assert status == 1 and out.startswith("MOVED\n")
    status, out, _ = run("finetune", "--resume", tmp_path / "tuned.run", "--json")
    assert status == 0 and json.loads(out)["verdict"] == "drift"


def test_an_interrupt_says_how_to_go_on(keras, run, fixtures, matchups, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    x, y = matchups(60)
    np.savez(tmp_path / "data.npz", inputs=x, outputs=y)
    words = ["finetune", fixtures / "square_7-7-7-7-7.h5", tmp_path / "data.npz", "-o", tmp_path / "a.keras"]
    with monkeypatch.context() as patch:
        patch.setattr("porter.learning.training._fit", interrupt)
        status, out, err = run(*words, "--epochs", 1)
    assert status == 130 and not out and f"porter finetune --resume {tmp_path / 'a.run'}" in err
    status, out, err = run(*words, "--epochs", 1)
    assert status == 2 and "a run of that name" in err and "--resume" in err
    status, out, _ = run("finetune", "--resume", tmp_path / "a.run")
    assert status == 0 and out.startswith("DRIFT") and (tmp_path / "a.keras").exists()


def test_bad_usage_is_one_message_and_status_2(run, fixtures, tmp_path):
    for arguments in (
        ["finetune"],
        ["finetune", "--resume", tmp_path],
        ["finetune", fixtures / "mean_std_7-16-7.h5", tmp_path / "none.csv", "-o", tmp_path / "a.keras"],
        ["drift", fixtures / "mean_std_7-16-7.h5", tmp_path / "none.keras"],
    ):
        status, out, err = run(*arguments)
        assert status == 2 and not out and "Traceback" not in err, err
