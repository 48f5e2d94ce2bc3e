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
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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


@pytest.mark.parametrize("tuner", ["random", "hyperband", "bayesian"])
def test_each_tuner_finds_the_best_of_its_trials_and_goes_on(keras, mixed, data, tmp_path, tuner, monkeypatch):
    monkeypatch.setattr("porter.learning.tuning._train_best", lambda *_, **__: SimpleNamespace(report=None))
    how = {"trials": 2, "epochs": 2, "space": space, "freeze": "Layer1"}
    found = search(mixed, data, run=tmp_path / "s", tuner=tuner, **how)
    losses = [trial.loss for trial in found.trials]
    assert len(losses) >= 2 and losses == sorted(losses)
    assert found.plan.learning_rate == found.trials[0].values["learning_rate"]
    assert search(run=tmp_path / "s", resume=True, space=space).trials == found.trials


def test_a_search_that_was_interrupted_goes_on_with_the_trials_that_it_has(keras, mixed, data, tmp_path, monkeypatch):
    from porter.learning import tuning

    monkeypatch.setattr(DriftReport, "to_html", lambda self, path: None)
    how = {"trials": 3, "epochs": 1, "space": space, "freeze": "Layer1"}
    fit, count = tuning._fit_trial, []

    def interrupted(*arguments):
        count.append(arguments[1].learning_rate)
        if len(count) == 2:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(tuning, "_fit_trial", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(mixed, data, run=tmp_path / "cut", **how)
    cut = search(run=tmp_path / "cut", resume=True, space=space)
    assert len(count) == 4  # the first trial was not run again
    assert len(cut.trials) == 3 and count[0] in {trial.values["learning_rate"] for trial in cut.trials}
    with pytest.raises(RunError, match="the function that it was begun with"):
        search(run=tmp_path / "cut", resume=True)
    with pytest.raises(RunError, match="porter search --resume"):
        porter.finetune(resume=tmp_path / "cut")


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
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"^porter search needs keras-tuner: pip install 'keras-porter\[search\]'$"
    ):
        search(mixed, data, run=tmp_path / "s")
