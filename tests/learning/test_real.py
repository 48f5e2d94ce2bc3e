"""The networks of real sensors: a trunk reused for another sensor's bands, and budgets that are met."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.formats.programs import build_program
from porter.learning.compress import compress
from porter.learning.trunk import prove_arrays


def rows_of(network, count, seed):
    low, high = network.input_range.T
    return low + (high - low) * np.random.default_rng(seed).random((count, len(low)))


def test_a_trunk_of_one_sensor_learns_the_bands_of_another(keras, real):
    """SGLI's layers, behind one that brings SeaWiFS' reflectances to them, learn what SeaWiFS' own network gives."""
    sensors = real / "oc_smart" / "sensors"
    source, target = sensors / "SGLI" / "SGLI_aphNN.h5", sensors / "SeaWiFS" / "SeaWiFS_aphNN.h5"
    legacy = porter.read(target)
    x = rows_of(legacy, 500, 1)
    y = build_program(legacy)(x)[0]
    trunk = porter.trunk(source, until="Layer3")
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((x.shape[1],)), keras.layers.Dense(trunk.input_shape[1], name="bands_in"), trunk,
        keras.layers.Dense(y.shape[1], name="bands_out"),
    ])  # fmt: skip
    kernel = np.eye(x.shape[1], trunk.input_shape[1], dtype=np.float32)
    model.get_layer("bands_in").set_weights([kernel, np.zeros(trunk.input_shape[1])])
    tuned = porter.finetune(model, (x, y), epochs=12, learning_rate=3e-3, test=0.25)
    assert tuned.frozen == ("trunk/Layer1", "trunk/Layer2", "trunk/Layer3") and tuned.moved == ()
    assert len(prove_arrays(trunk, source)) == 6
    overall = tuned.report.outputs[0]
    assert overall.verdict == "better" and overall.tuned < 0.6 * overall.legacy


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", ["PACE_Lrc_aaNN.h5", "sensors/SGLI/SGLI_aphNN.h5", "sensors/MODIS-Aqua/MODIS-Aqua_Lrc_rrsNN.h5"]
)
def test_each_budget_is_met_as_other_rows_find(keras, real, tmp_path, file):
    network = porter.read(real / "oc_smart" / file)
    x = rows_of(network, 400, 5).astype(np.float32)
    low, high = network.input_range.astype(np.float32).T
    x = np.clip(x, low, high)
    expected = build_program(network)(x.astype(np.float64))[0]
    spans = np.diff(network.layers[-1].stored, axis=1)[:, 0]
    for budget in (0.005, 0.05):
        made = compress(
            network, budget=budget, method="float16,int8", output=tmp_path / "a.keras", force=True, rows=600
        )
        model = keras.saving.load_model(tmp_path / "a.keras")
        worst = float((np.abs(np.asarray(model(x), np.float64) - expected) / spans).max())
        assert made.report.verdict == "drift" and worst <= budget
