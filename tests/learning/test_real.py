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


def error_of(outputs, truth):
    """Root-mean-square error over all outputs, in powers of ten."""
    return float(np.sqrt(np.mean((np.asarray(outputs, np.float64) - truth) ** 2)))


@pytest.mark.slow
def test_a_trunk_of_one_sensor_learns_the_bands_of_another(keras, real, optics):
    """MODIS' layers learn the particles of water as OLI sees it, from synthetic pixels of the bio-optical model.

    Its four bands are brought to MODIS' eight by straight lines to begin with. The same with layers of random arrays,
    and OLI's own network, are what the errors on held-out pixels are held against.
    """
    sensors = real / "oc_smart" / "sensors"
    source, own = sensors / "MODIS-Aqua" / "MODIS-Aqua_bbpNN.h5", porter.read(sensors / "OLI" / "OLI_bbpNN.h5")
    modis, oli = np.array([412.0, 443, 488, 531, 547, 667, 678, 748]), np.array([443.0, 482, 561, 655])
    rng = np.random.default_rng(8)
    low, high = optics.INPUT_RANGE.T
    water = low + (high - low) * rng.random((1200, 7))
    x, y = optics.log_reflectance(water, oli), np.log10(optics.particle_backscattering(water, oli))
    inside = ((x >= own.input_range[:, 0]) & (x <= own.input_range[:, 1])).all(axis=1)
    x, y = (part[inside] + 0.005 * rng.standard_normal(part[inside].shape) for part in (x, y))

    def model(trunk):
        keras.utils.set_random_seed(1)
        ends = keras.layers.Dense(8, name="bands_in"), keras.layers.Dense(4, name="bands_out")
        made = keras.Sequential([keras.Input((4,)), ends[0], trunk, ends[1]])
        ends[0].set_weights([np.stack([np.interp(modis, oli, unit) for unit in np.eye(4)]), np.zeros(8)])
        return made

    trunk = porter.trunk(source, until="Layer3")
    keras.utils.set_random_seed(3)
    unread = keras.models.clone_model(trunk)
    unread.trainable = False
    how = {"epochs": 15, "learning_rate": 1e-2, "test": 0.25}
    features, random = (porter.finetune(model(part), (x, y), **how) for part in (trunk, unread))
    assert features.frozen == ("trunk/Layer1", "trunk/Layer2", "trunk/Layer3") and features.moved == ()
    assert len(prove_arrays(trunk, source)) == 6
    held = features.split.test
    before, by_chance = (error_of(tuned.model(x[held]), y[held]) for tuned in (features, random))
    unfrozen = porter.finetune(
        features.model, (x, y), freeze="until:trunk/Layer1", **(how | {"learning_rate": 3e-3})
    )  # fmt: skip
    assert np.array_equal(unfrozen.split.test, held) and unfrozen.moved == ()
    after, inherited = error_of(unfrozen.model(x[held]), y[held]), error_of(build_program(own)(x[held])[0], y[held])
    print(f"held-out errors: {before:.3f}, unfrozen {after:.3f}, random {by_chance:.3f}, OLI's own {inherited:.3f}")
    assert unfrozen.report.outputs[0].verdict == "better"
    assert after < 0.8 * before and before < 0.5 * inherited and before < 0.5 * by_chance


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
