"""The search for how to train: KerasTuner's three tuners run, go on after a kill, and the best is reported."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import porter
from porter import cli
from porter.errors import UsageError
from porter.learning.drift_report import DriftReport
from porter.learning.errors import MissingExtraError, RunError
from porter.learning.tuning import search

keras_tuner = pytest.importorskip("keras_tuner", reason="keras-tuner is not installed: pip install keras-tuner")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def data(matchups):
    return matchups(120)


def space(hp):
    """Two numbers alone: a trial is half a second."""
    return {"learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log"), "batch_size": 64}


def bits(model):
    return b"".join(np.asarray(weight).tobytes() for weight in model.get_weights())


def test_the_best_is_trained_anew_and_reported_with_its_trials(keras, mixed, data, tmp_path, monkeypatch):
    monkeypatch.setattr(DriftReport, "to_html", lambda self, path: None)
    found = search(mixed, data, run=tmp_path / "s", trials=2, epochs=2, space=space, freeze="Layer1")
    assert found.plan.learning_rate == found.trials[0].values["learning_rate"]
    assert found.tuned.frozen == ("Layer1",) and found.tuned.report.verdict == "drift"
    assert found.tuned.report.trials == found.trials and "Trials: the best of 2" in str(found.tuned.report)
    again = search(run=tmp_path / "s", resume=True, space=space)
    assert again.trials == found.trials and bits(again.tuned.model) == bits(found.tuned.model)


@pytest.fixture
def lessons(monkeypatch):
    """Trials that train nothing and come to what their learning rate says; the numbers of those that are cut off."""
    from porter.learning import tuning

    cut, rates = set(), []

    def fit(training, plan, model, given):
        rates.append(plan.learning_rate)
        if len(rates) in cut:
            raise KeyboardInterrupt
        loss = (np.log10(plan.learning_rate) + 3.2) ** 2 + 1 / given.get("epochs", 1)
        for callback in given["callbacks"]:  # KerasTuner's, of which one writes the weights that Hyperband goes on from
            callback.set_model(model)
            callback.on_epoch_end(0, {"val_loss": loss})
        return loss

    monkeypatch.setattr("gc.collect", lambda: 0)  # KerasTuner's, before each trial: half a second, of one
    monkeypatch.setattr(tuning, "_fit_trial", fit)
    monkeypatch.setattr(tuning, "_train_best", lambda *_, **__: SimpleNamespace(report=None))
    return SimpleNamespace(cut=cut, rates=rates)


@pytest.mark.parametrize("tuner", ["random", "hyperband", "bayesian"])
def test_a_search_that_is_cut_off_comes_to_the_trials_of_one_that_is_not(keras, mixed, data, tmp_path, tuner, lessons):
    """Cut off in the first trial, after it, and twice in a later one: of the Bayesian, in those that follow others."""
    how = {"trials": 6, "epochs": 3, "space": space, "freeze": "Layer1", "tuner": tuner}
    whole = search(mixed, data, run=tmp_path / "whole", **how)
    tried, losses = list(lessons.rates), [trial.loss for trial in whole.trials]
    assert len(set(tried)) >= 4 and losses == sorted(losses)
    assert whole.plan.learning_rate == whole.trials[0].values["learning_rate"]
    lessons.rates.clear()
    lessons.cut |= {1, 3, 7, 8}
    with pytest.raises(KeyboardInterrupt):
        search(mixed, data, run=tmp_path / "cut", **how)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            search(run=tmp_path / "cut", resume=True, space=space)
    assert search(run=tmp_path / "cut", resume=True, space=space).trials == whole.trials
    finished = [rate for number, rate in enumerate(lessons.rates, 1) if number not in lessons.cut]
    assert finished == tried  # none was run again, and none was another
    assert search(run=tmp_path / "cut", resume=True, space=space).trials == whole.trials
    assert len(lessons.rates) == len(tried) + 4


def test_a_trial_that_was_another_is_not_taken_for_this_one(keras, mixed, data, tmp_path, lessons):
    how = {"trials": 3, "epochs": 1, "freeze": "Layer1"}
    found = search(mixed, data, run=tmp_path / "s", space=space, **how)
    record = tmp_path / "s" / "trials" / "trial_1" / "result.json"
    for content in ('{"values": {"learning_rate": 0.5}, "val_loss": 0}', record.read_text()[:-9]):
        record.write_text(content)
        lessons.rates.clear()
        assert search(run=tmp_path / "s", resume=True, space=space).trials == found.trials
        assert len(lessons.rates) == 1
    with pytest.raises(RunError, match="the function that it was begun with"):
        search(run=tmp_path / "s", resume=True)
    with pytest.raises(RunError, match="porter search --resume"):
        porter.finetune(resume=tmp_path / "s")


def test_trials_that_all_fail_are_no_best(keras, mixed, data, tmp_path, monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: 0)
    monkeypatch.setattr("porter.learning.tuning._fit_trial", lambda *_: float("nan"))
    for trials in (1, 4):  # KerasTuner gives up after three
        with pytest.raises(RunError, match="trials that come to an end"):
            search(mixed, data, run=tmp_path / str(trials), trials=trials, epochs=1, space=space, freeze="Layer1")


def test_a_seed_decides_what_is_tried_zero_as_any_other(keras, mixed, data, tmp_path, lessons):
    how = {"trials": 3, "epochs": 1, "space": space, "freeze": "Layer1"}
    tried = [search(mixed, data, run=tmp_path / f"{k}", seed=seed, **how).trials for k, seed in enumerate((0, 0, 1))]
    assert tried[0] == tried[1] != tried[2]


def test_by_command_with_the_usual_space(keras, fixtures, data, tmp_path, monkeypatch, capsys):
    np.savez(tmp_path / "data.npz", inputs=data[0], outputs=data[1])
    words = ["search", fixtures / "square_7-7-7-7-7.h5", tmp_path / "data.npz", "-o", tmp_path / "best.keras"]
    words += ["--trials", 2, "--epochs", 2, "--json", "--html", tmp_path / "a.html"]
    monkeypatch.setattr(sys, "argv", ["porter", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    content = json.loads(capsys.readouterr().out)
    assert left.value.code in (0, None) and content["verdict"] == "drift" and (tmp_path / "best.keras").exists()
    varied = content["trials"][0]["values"]
    assert set(varied) == {"learning_rate", "schedule", "batch_size", "weight_decay", "frozen_layers"}
    assert "What the search tried" in (tmp_path / "a.html").read_text()


def test_what_cannot_be_meant(keras, mixed, data, tmp_path, monkeypatch):
    for wrong in ({"tuner": "grid"}, {"trials": 0}, {"validation": 0.0}):
        with pytest.raises(UsageError):
            search(mixed, data, run=tmp_path / "s", **wrong)
    with pytest.raises(UsageError, match="names among"):
        search(mixed, data, run=tmp_path / "s", trials=1, epochs=1, space=lambda hp: {"rate": hp.Float("r", 0, 1)})
    with pytest.raises(UsageError, match="names and values"):
        search(mixed, data, run=tmp_path / "s", trials=1, epochs=1, force=True, space=lambda hp: None)
    monkeypatch.setattr("importlib.util.find_spec", {"keras_tuner": True}.get)
    with pytest.raises(MissingExtraError, match=r"^porter search needs scipy: pip install 'keras-porter\[search\]'$"):
        search(mixed, data, run=tmp_path / "s", tuner="bayesian")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"^porter search needs keras-tuner: pip install 'keras-porter\[search\]'$"
    ):
        search(mixed, data, run=tmp_path / "s")
