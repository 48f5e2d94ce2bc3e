"""Fine-tuning: what is frozen stays to the bit, what is interrupted goes on to the bit, and what is said is so."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import porter
from porter.errors import OutputExistsError, UsageError
from porter.learning.drift_report import DriftReport
from porter.learning.errors import DataError, RunError
from porter.learning.freezing import freeze, layers_of
from porter.learning.training import finetune

SMALL = {"epochs": 6, "batch_size": 64, "learning_rate": 3e-3, "patience": 4}


def bits(model):
    return b"".join(np.asarray(weight).tobytes() for weight in model.get_weights())


@pytest.fixture
def interrupted(keras, monkeypatch):
    """A callback that ends the process, as far as a test can, in the middle of an epoch; no pages are drawn."""
    monkeypatch.setattr(DriftReport, "to_html", lambda self, path: None)

    class Interrupt(keras.callbacks.Callback):
        def __init__(self, epoch, batch):
            super().__init__()
            self.place, self.now = (epoch, batch), 0

        def on_epoch_begin(self, epoch, logs=None):
            self.now = epoch

        def on_train_batch_end(self, batch, logs=None):
            if (self.now, batch) >= self.place:
                raise KeyboardInterrupt

    return Interrupt


def test_two_frozen_layers_stay_and_the_held_out_error_falls(keras, fixtures, matchups, tmp_path):
    """The acceptance of the issue, on its network and its data: a shifted regime with noise."""
    tuned = porter.finetune(
        fixtures / "ocean_7-100-75-50-25-7.h5", matchups(), output=tmp_path / "tuned.keras", freeze="until:Layer2",
        test=0.25, **SMALL,
    )  # fmt: skip
    network = porter.read(fixtures / "ocean_7-100-75-50-25-7.h5")
    assert tuned.frozen == ("Layer1", "Layer2") and tuned.moved == ()
    for name in tuned.frozen:
        kernel, bias = tuned.model.get_layer(name).get_weights()
        assert kernel.tobytes() == network.layer(name).kernel.astype(np.float32).tobytes()
        assert bias.tobytes() == network.layer(name).bias.astype(np.float32).tobytes()
    overall = tuned.report.outputs[0]
    assert overall.verdict == "better" and overall.high < 0 and overall.tuned < 0.5 * overall.legacy
    assert tuned.report.verdict == "drift"
    by_name = {change.layer: change for change in tuned.report.changes}
    assert by_name["Layer1"].verdict == by_name["Norm_in"].verdict == "identical"
    assert by_name["Layer3"].verdict == "moved" and by_name["Layer3"].norm > 1e-3
    assert "input inputs[1]" in tuned.report.regions[0]  # where the shift lies
    reloaded = keras.saving.load_model(tmp_path / "tuned.keras")
    assert bits(reloaded) == bits(tuned.model)
    record = porter.read_provenance(tmp_path / "tuned.keras")
    assert record["verdict"] == "drift" and record["learning"]["frozen"] == ["Layer1", "Layer2"]


def test_the_run_folder_holds_all_that_came_of_it(keras, mixed, matchups, tmp_path):
    tuned = finetune(mixed, matchups(200), run=tmp_path / "a.run", freeze="Layer1", **SMALL)
    files = {path.name for path in (tmp_path / "a.run").iterdir()}
    assert files == {
        "backup", "best.keras", "checkpoint", "config.json", "data.npz", "history.csv", "history.svg", "report.html",
        "report.json", "report.txt", "start.keras", "tuned.keras",
    }  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "a.run" / "history.csv").read_text().splitlines()))
    assert [float(row["val_loss"]) for row in rows] == tuned.history["val_loss"]
    config = json.loads((tmp_path / "a.run" / "config.json").read_text())
    assert config["plan"]["seed"] == 0 and config["plan"]["freeze"] == "Layer1"
    report = json.loads((tmp_path / "a.run" / "report.json").read_text())
    assert report["verdict"] == "drift" and report["changes"][1]["frozen"] is True
    plot = (tmp_path / "a.run" / "history.svg").read_text()
    assert "best epoch" in plot and "var(--" not in plot and "#0b62b8" in plot
    split = tuned.split.parts()
    assert [len(split[name]) for name in ("train", "validation", "test")] == [140, 40, 20]
    best = keras.saving.load_model(tmp_path / "a.run" / "best.keras")
    assert bits(best) == bits(tuned.model)
    with pytest.raises(OutputExistsError, match="--resume"):
        finetune(mixed, matchups(200), run=tmp_path / "a.run", **SMALL)


def test_a_tensorflow_checkpoint_goes_back_into_the_model(keras, mixed, matchups, tmp_path):
    import tensorflow as tf

    tuned = finetune(mixed, matchups(200), run=tmp_path / "a.run", **(SMALL | {"patience": 0, "epochs": 2}))
    model = porter.build(mixed)
    assert bits(model) != bits(tuned.model)
    latest = tf.train.latest_checkpoint(tmp_path / "a.run" / "checkpoint")
    tf.train.Checkpoint(model=model).restore(latest).expect_partial()
    assert latest.endswith("-2") and bits(model) == bits(tuned.model)


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_bits(keras, matchups, tmp_path, interrupted):
    """Weights, history, stopping epoch, log and plot; with what Keras' own backup forgets: dropout, patience, the best.

    Interrupted twice, once at the first batch of all.
    """
    x, y = matchups(120)

    def model():
        keras.utils.set_random_seed(1)
        return keras.Sequential([
            keras.Input((7,)), keras.layers.Dense(8, "tanh", name="hidden"), keras.layers.Dropout(0.3),
            keras.layers.Dense(7, name="out"),
        ])  # fmt: skip

    how = {"epochs": 30, "batch_size": 40, "learning_rate": 0.3, "patience": 3, "schedule": "constant"}
    whole = finetune(model(), (x, y), run=tmp_path / "whole.run", callbacks=[interrupted(99, 0)], **how)
    assert whole.stopped_epoch is not None and whole.best_epoch == whole.stopped_epoch - 3
    with pytest.raises(KeyboardInterrupt):
        finetune(model(), (x, y), run=tmp_path / "cut.run", callbacks=[interrupted(0, 0)], **how)
    with pytest.raises(KeyboardInterrupt):
        finetune(resume=tmp_path / "cut.run", callbacks=[interrupted(whole.best_epoch + 2, 1)])
    (tmp_path / "cut.run" / "history.csv").unlink()  # it is written again
    cut = finetune(resume=tmp_path / "cut.run", callbacks=[interrupted(99, 0)])
    assert bits(cut.model) == bits(whole.model) and cut.history == whole.history and cut.epoch == whole.epoch
    assert (cut.stopped_epoch, cut.best_epoch) == (whole.stopped_epoch, whole.best_epoch)
    for name in ("history.csv", "history.svg"):
        assert (tmp_path / "cut.run" / name).read_bytes() == (tmp_path / "whole.run" / name).read_bytes()
    again = finetune(resume=tmp_path / "cut.run", callbacks=[interrupted(99, 0)])
    assert bits(again.model) == bits(whole.model) and again.history == whole.history
    other = finetune(model(), (x, y), **(how | {"seed": 1, "epochs": 2}))
    assert bits(other.model) != bits(whole.model)


@pytest.mark.slow
def test_without_the_state_that_keras_forgets_the_bits_would_differ(
    keras, matchups, tmp_path, interrupted, monkeypatch
):
    """Negative control of the tests above."""
    from porter.learning.callbacks import Backup

    monkeypatch.setattr(Backup, "_restore", lambda self, folder: None)
    x, y = matchups(120)
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dropout(0.3), keras.layers.Dense(7)])
    start = keras.models.clone_model(model)
    start.set_weights(model.get_weights())
    how = {"epochs": 4, "batch_size": 40, "patience": 2}
    whole = finetune(model, (x, y), run=tmp_path / "whole.run", **how)
    with pytest.raises(KeyboardInterrupt):
        finetune(start, (x, y), run=tmp_path / "cut.run", callbacks=[interrupted(2, 1)], **how)
    cut = finetune(resume=tmp_path / "cut.run")
    assert bits(cut.model) != bits(whole.model) and cut.history != whole.history


def test_a_backup_that_was_cut_off_is_not_taken_up(keras, mixed, matchups, tmp_path, interrupted):
    how = SMALL | {"epochs": 3, "patience": 0}
    whole = finetune(mixed, matchups(150), run=tmp_path / "whole.run", callbacks=[interrupted(99, 0)], **how)
    with pytest.raises(KeyboardInterrupt):
        finetune(mixed, matchups(150), run=tmp_path / "cut.run", callbacks=[interrupted(2, 0)], **how)
    draft = tmp_path / "cut.run" / "backup" / "draft"
    draft.mkdir()
    (draft / "latest.weights.h5").write_bytes(b"half")
    assert bits(finetune(resume=tmp_path / "cut.run", callbacks=[interrupted(99, 0)]).model) == bits(whole.model)
    newest = sorted((tmp_path / "whole.run" / "backup").glob("epoch-*"))[-1]
    (newest / "state.json").write_text('{"stopped": false}')
    with pytest.raises(RunError, match="cannot be taken up"):
        finetune(resume=tmp_path / "whole.run", callbacks=[interrupted(99, 0)])


def _without(run, name):
    next(path for path in run.rglob(name)).unlink()


def _other_weights(run, name):
    import keras

    model = keras.saving.load_model(run / name)
    model.layers[-1].set_weights([2 * array for array in model.layers[-1].get_weights()])
    model.save(run / name)


def _other_rows(run, name):
    with np.load(run / name) as stored:
        arrays = dict(stored)
    np.savez(run / name, **(arrays | {"targets": arrays["targets"] + 1}))


def _no_plan(run, name):
    config = json.loads((run / name).read_text())
    (run / name).write_text(json.dumps(config | {"plan": {}}))


def _cut_short(run, name):
    path = next(path for path in run.rglob(name))
    path.write_bytes(path.read_bytes()[:20])


DAMAGES = [
    (_without, "start.keras", "no file"),
    (_other_weights, "start.keras", "not what the run began with"),
    (_other_rows, "data.npz", "not what the run began with"),
    (_cut_short, "data.npz", "not what the run began with"),
    (_no_plan, "config.json", "no freeze, epochs"),
    (_cut_short, "config.json", "no run that can be resumed"),
    (_without, "latest.weights.h5", "cannot be taken up"),  # Keras alone begins anew, and says nothing
    (_without, "training_metadata.json", "cannot be taken up"),
    (_without, "state.json", "cannot be taken up"),
    (_cut_short, "arrays.npz", "cannot be taken up"),
]


def test_a_run_that_is_damaged_is_not_resumed(keras, matchups, tmp_path, interrupted):
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(7)])
    with pytest.raises(KeyboardInterrupt):
        finetune(model, matchups(60), run=tmp_path / "cut", epochs=3, patience=0, callbacks=[interrupted(2, 0)])
    shutil.rmtree(tmp_path / "cut" / "backup" / "epoch-000001")
    for number, (damage, name, found) in enumerate(DAMAGES):
        run = shutil.copytree(tmp_path / "cut", tmp_path / str(number))
        damage(run, name)
        with pytest.raises(RunError, match=found):
            finetune(resume=run, callbacks=[interrupted(99, 0)])
    with pytest.raises(RunError, match="Interrupt where ModelCheckpoint, Checkpoint run"):
        finetune(resume=tmp_path / "cut")
    assert len(finetune(resume=tmp_path / "cut", callbacks=[interrupted(99, 0)]).epoch) == 3  # it can succeed


@pytest.mark.slow
def test_a_full_disk_costs_an_epoch(keras, matchups, tmp_path, monkeypatch):
    from porter.learning.callbacks import Checkpoint

    def full(self, epoch, logs=None):
        if epoch == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(DriftReport, "to_html", lambda self, path: None)
    model = keras.Sequential([keras.Input((7,)), keras.layers.Dense(7)])
    with monkeypatch.context() as patch, pytest.raises(RunError, match="No space left on device"):
        patch.setattr(Checkpoint, "on_epoch_end", full)
        finetune(model, matchups(60), run=tmp_path / "a.run", epochs=2)
    assert finetune(resume=tmp_path / "a.run").epoch == [0, 1]


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_process_killed_at_three_random_moments_ends_at_the_same_bits(keras, fixtures, matchups, tmp_path):
    x, y = matchups(400)
    np.savez(tmp_path / "data.npz", inputs=x, outputs=y)
    command = [sys.executable, "-m", "porter", "finetune"]
    first = [fixtures / "ocean_7-100-75-50-25-7.h5", tmp_path / "data.npz", "--freeze", "until:Layer2"]
    how = ["--epochs", "12", "--patience", "5", "--batch-size", "16", "--learning-rate", "0.003"]
    whole = tmp_path / "whole.keras"
    subprocess.run([*command, *first, "-o", whole, *how], check=True, capture_output=True)
    cut, run = tmp_path / "cut.keras", tmp_path / "cut.run"
    arguments, rng, kills = [*first, "-o", cut, *how], random.Random(4), 0
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    while kills < 3:
        process = subprocess.Popen([*map(str, command + arguments)], **quiet)
        done, end = _epochs(run), time.monotonic() + 120
        while process.poll() is None and _epochs(run) < min(done + 2, 11) and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(rng.random() * 0.2)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        arguments = ["--resume", run]
    assert kills == 3
    subprocess.run([*map(str, [*command, "--resume", run])], check=True, capture_output=True)
    models = [keras.saving.load_model(path) for path in (whole, cut)]
    assert bits(models[0]) == bits(models[1])
    for name in ("history.csv", "history.svg"):
        assert (run / name).read_bytes() == (tmp_path / "whole.run" / name).read_bytes()


def _epochs(run):
    log = run / "history.csv"
    return max(0, len(log.read_text().splitlines()) - 1) if log.exists() else 0


def test_every_epoch_sees_every_row_once_in_an_order_of_its_own(keras):
    from porter.learning.callbacks import Batches

    rows = np.arange(10.0)[:, None]
    batches = Batches(rows, rows, 4, seed=1)
    orders = []
    for epoch in (0, 1, 0):
        batches.show_epoch(epoch)
        orders.append(np.concatenate([batches[k][0] for k in range(len(batches))]).ravel().tolist())
    assert len(batches) == 3 and sorted(orders[0]) == rows.ravel().tolist()
    assert orders[0] == orders[2] != orders[1]


def test_freezing_by_name_and_up_to_a_layer(keras, mixed):
    model = porter.build(mixed)
    assert freeze(model, "until:Layer2") == ("Layer1", "Layer2")
    assert freeze(model, ["Norm_in", "Layer3"]) == ("Layer3",)
    assert freeze(model, None) == ("Layer3",)
    assert freeze(model, []) == ()
    assert not model.get_layer("Norm_in").trainable
    with pytest.raises(UsageError, match="no layer 'Layer9'"):
        freeze(model, "Layer9")
    with pytest.raises(UsageError, match="at least one that learns"):
        freeze(model, "until:Norm_out")


def test_layers_within_a_model_are_frozen_by_the_models_name(keras):
    trunk = keras.Sequential([keras.layers.Dense(3, name="a"), keras.layers.Dense(3, name="b")], name="trunk")
    model = keras.Sequential([keras.Input((4,)), trunk, keras.layers.Dense(2, name="head")])
    trunk.trainable = False
    assert freeze(model, None) == ("trunk/a", "trunk/b")
    assert freeze(model, "trunk/a") == ("trunk/a",) and len(model.trainable_weights) == 4
    assert freeze(model, "trunk") == ("trunk/a", "trunk/b") and list(layers_of(model))[-1] == "head"


def test_batch_normalization_that_is_frozen_keeps_its_statistics(keras, matchups):
    x, y = matchups(100)
    model = keras.Sequential([
        keras.Input((7,)), keras.layers.BatchNormalization(name="norm"), keras.layers.Dense(7, name="out"),
    ])  # fmt: skip
    tuned = finetune(model, (x, y), freeze=["norm"], epochs=1, batch_size=32)
    assert tuned.frozen == ("norm",) and tuned.moved == ()
    free = finetune(keras.models.clone_model(model), (x, y), freeze=[], epochs=1, batch_size=32)
    assert free.report.changes[0].verdict == "moved"


def test_a_frozen_layer_that_moves_all_the_same_is_a_mismatch(keras, mixed, matchups):
    """Negative control: a callback that meddles with what was to stay."""

    class Meddle(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            layer = self.model.get_layer("Layer2")
            kernel, bias = layer.get_weights()
            kernel[3, 4] = np.nextafter(kernel[3, 4], np.float32(1))
            layer.set_weights([kernel, bias])

    tuned = finetune(mixed, matchups(100), freeze="until:Layer2", epochs=1, patience=0, callbacks=[Meddle()])
    assert tuned.moved == ("Layer2",) and tuned.report.verdict == "mismatch"
    finding = tuned.report.findings[0]
    assert (finding.code, finding.layer) == ("frozen.moved", "Layer2")
    assert "1 of its 336 numbers" in finding.message and "kernel[3, 4]" in finding.evidence
    with pytest.raises(porter.ParityError):
        tuned.report.raise_for_mismatch()


def test_a_frozen_layer_that_writes_to_itself_is_a_mismatch(keras, matchups):
    """Such arrays are no weights that learn; a copy of the model has not even as many."""

    class Counts(keras.layers.Layer):
        def __init__(self, **config):
            super().__init__(**config)
            self.count = None

        def build(self, shape):
            self.count = self.add_weight(shape=(1,), name="count", trainable=False, initializer="zeros")

        def call(self, x):
            self.count.assign(self.count + 1.0)
            return x

    model = keras.Sequential([keras.Input((7,)), Counts(name="counts"), keras.layers.Dense(7, name="out")])
    tuned = finetune(model, matchups(60), freeze=["counts"], epochs=1)
    assert tuned.moved == ("counts",) and tuned.report.verdict == "mismatch"
    assert tuned.report.findings[0].code == "frozen.moved"


def test_several_inputs_or_outputs_are_refused_by_all_that_learns(keras, matchups):
    ends = keras.Input((3,)), keras.Input((4,))
    model = keras.Model(ends, keras.layers.Dense(7, name="out")(keras.layers.Concatenate()(ends)))
    subclassed = type("Own", (keras.Model,), {"call": lambda self, x: x})()
    uses = (
        lambda one: finetune(one, matchups(60)), lambda one: porter.drift(one, one),
        lambda one: porter.trunk(one, until="out"), lambda one: porter.compress(one, budget=0.1),
    )  # fmt: skip
    for use in uses:
        with pytest.raises(UsageError, match="2 inputs and 1 outputs"):
            use(model)
        with pytest.raises(UsageError, match="does not show its inputs"):
            use(subclassed)


@pytest.mark.parametrize("schedule", ["inverse_time", "cosine", "constant"])
def test_schedules_are_those_of_keras(keras, mixed, matchups, schedule):
    tuned = finetune(mixed, matchups(100), epochs=2, schedule=schedule, weight_decay=1e-3, optimizer="adamw")
    rate = tuned.model.optimizer._learning_rate
    name = {"inverse_time": "InverseTimeDecay", "cosine": "CosineDecay"}.get(schedule)
    assert (type(rate).__name__ == name) if name else isinstance(rate, keras.Variable)
    assert tuned.model.optimizer.weight_decay == 1e-3


def test_what_cannot_be_meant_is_refused_before_anything_is_trained(keras, mixed, matchups, tmp_path):
    x, y = matchups(50)
    for wrong in (
        {"epochs": 0}, {"schedule": "linear"}, {"optimizer": "nothing"}, {"loss": "nothing"}, {"learning_rate": -1},
        {"epochs": 2.5}, {"learning_rate": float("inf")}, {"learning_rate": "fast"}, {"weight_decay": -1},
        {"metrics": ["nothing"]}, {"freeze": "Layer99"}, {"units": "physical"}, {"tensorboard": True},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            finetune(mixed, (x, y), **wrong)
    with pytest.raises(DataError):
        finetune(mixed, (x[:, :6], y))
    with pytest.raises(DataError, match="median"):
        finetune(mixed, (10**x, y))
    with pytest.raises(UsageError, match="no folder"):
        finetune(mixed, (x, y), output=tmp_path / "nowhere" / "a.keras")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="something else of that name"):
        finetune(mixed, (x, y), run=tmp_path / "other")
    with pytest.raises(RunError, match="no run"):
        finetune(resume=tmp_path)
    with pytest.raises(UsageError, match="float16"):
        finetune(porter.build(mixed, dtype="float16"), (x, y))


def test_a_run_that_was_cut_off_before_it_began_is_begun_anew(keras, mixed, matchups, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("porter.learning.run_folder.write_config", interrupt)
        finetune(mixed, matchups(60), run=tmp_path / "a.run", epochs=1)
    assert {path.name for path in (tmp_path / "a.run").iterdir()} == {"start.keras", "data.npz"}
    with pytest.raises(RunError, match="no run"):
        finetune(resume=tmp_path / "a.run")
    monkeypatch.setattr("porter.learning.training._fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        finetune(mixed, matchups(60), run=tmp_path / "a.run", epochs=1)


def test_training_that_diverges_is_said_so(keras, mixed, matchups):
    with pytest.raises(RunError, match="diverged"):
        finetune(mixed, matchups(60), epochs=3, optimizer="sgd", learning_rate=1e30, patience=0)


def test_mixed_precision_trains(keras, mixed, matchups):
    tuned = finetune(porter.build(mixed, dtype="mixed_float16"), matchups(100), freeze="Layer1", epochs=1)
    assert tuned.moved == () and tuned.report.verdict == "drift"
