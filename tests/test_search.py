"""The search over the inputs: what it finds, how it shrinks, and that it leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

import porter
from porter.examination import search
from porter.examination.examine import examine
from porter.examination.search import Counterexample, search_inputs, why_unsearched
from porter.ports.keras.graph import read_graph
from tests.handmade import plain_port, read_legacy

pytestmark = pytest.mark.usefixtures("keras")

NAME = "square_7-7-7-7-7"


@pytest.fixture(scope="module")
def network(fixtures):
    return porter.read(fixtures / f"{NAME}.h5")


@pytest.fixture(scope="module")
def legacy(fixtures):
    return read_legacy(fixtures / f"{NAME}.h5")


def case_of(network, model, seed=0):
    return examine(network, read_graph(model), seed=seed, placement=None, rows=64)


@pytest.fixture(scope="module")
def wrong(network, legacy, keras):
    """Layer3 is wrong only where input 4 is far from its centre: a table that ends too early."""
    low, high = legacy.norm_in[4]
    centre = np.float32((low + high) / 2)

    def broken(x):
        far = keras.ops.abs(x[:, 4:5] - centre) > 0.3 * (high - low) / 2
        return keras.ops.where(far, x + 0.1, x)

    inputs = keras.Input((7,))
    return keras.Model(inputs, plain_port(legacy)(broken(inputs)))


def test_a_right_port_is_searched_to_the_last_example(network, legacy):
    found = search_inputs(case_of(network, plain_port(legacy)))
    assert found.row is None and not found.exceeds
    assert found.examples == 2 * search.EXAMPLES == 100
    assert 0 < found.largest <= 1


def test_the_counterexample_is_shrunk_to_what_matters(network, legacy, wrong):
    found = search_inputs(case_of(network, wrong))
    assert found.exceeds
    assert found.layer == "Norm_in"
    assert found.error > found.allowed
    assert found.changed == (4,)
    low, high = legacy.norm_in.T
    assert np.array_equal(np.delete(found.row, 4), np.delete((low + high) / 2, 4))
    distance = abs(found.row[4] - (low[4] + high[4]) / 2) / ((high[4] - low[4]) / 2)
    assert 0.3 < distance <= 0.3 + 2 / 64


def test_it_really_fails_on_the_port(network, legacy, wrong):
    """The row is a counterexample by itself, not only inside the search."""
    found = search_inputs(case_of(network, wrong))
    right, broken = plain_port(legacy), wrong
    row = found.row[None].astype(np.float32)
    assert np.max(np.abs(right(row).numpy() - broken(row).numpy())) > 1e-4


def test_a_mistake_that_shows_everywhere_shrinks_to_the_centre(network, legacy):
    model = plain_port(legacy.with_arrays(2, bias=legacy.biases[1] + 0.5))
    found = search_inputs(case_of(network, model))
    assert found.layer == "Layer2"
    assert found.changed == ()
    low, high = legacy.norm_in.T
    assert np.array_equal(found.row, (low + high) / 2)
    assert "the centre of the range" in found.describe()


def test_the_same_seed_searches_the_same(network, wrong):
    first, second, other = (search_inputs(case_of(network, wrong, seed)) for seed in (3, 3, 4))
    assert first.as_dict() == second.as_dict()
    assert first.examples == second.examples
    assert other.seed == 4


def test_it_stays_inside_the_documented_range(network, legacy, keras):
    low, high = legacy.norm_in.T.astype(np.float32)
    seen = []
    inner = plain_port(legacy)

    class Watched(keras.layers.Layer):
        def call(self, x):
            if hasattr(x, "numpy"):
                seen.append(x.numpy())
            return x + 0.0

    inputs = keras.Input((7,))
    case = case_of(network, keras.Model(inputs, inner(Watched()(inputs))))
    seen.clear()
    search_inputs(case)
    rows = np.concatenate(seen)
    assert len(rows) >= 100
    room = 1e-6 * (high - low)
    assert (rows >= low - room).all() and (rows <= high + room).all()


def test_no_database_is_kept(network, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search_inputs(case_of(network, wrong))
    assert list(tmp_path.iterdir()) == []


def test_it_can_be_called_inside_a_search_and_in_any_profile(network, wrong):
    from hypothesis import given, settings
    from hypothesis import strategies as st

    found = []

    @settings(max_examples=2, database=None)
    @given(st.booleans())
    def users_own(flag):
        found.append(search_inputs(case_of(network, wrong)).as_dict())

    users_own()
    assert len(found) >= 2
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("deviation", [1e-8, 1e-6])
def test_a_port_that_is_random_does_not_stop_the_search(network, legacy, keras, deviation):
    """Noise that was baked in at training: an input that fails once may pass the next time."""
    inputs = keras.Input((7,))
    noise = keras.layers.GaussianNoise(deviation, seed=1)
    model = keras.Model(inputs, plain_port(legacy)(noise(inputs, training=True)))
    found = search_inputs(case_of(network, model))
    assert found.exceeds
    assert found.error > found.allowed


def test_an_error_inside_the_port_is_not_taken_for_a_counterexample(network, legacy, monkeypatch):
    case = case_of(network, plain_port(legacy))

    def broken(_):
        raise RuntimeError("the port is gone")

    monkeypatch.setattr(search, "_judge", lambda _: broken)
    with pytest.raises(RuntimeError, match="the port is gone"):
        search_inputs(case)


def test_a_counterexample_in_words_and_as_plain_data():
    row = np.array([0.0, 2.0, 0.0])
    found = Counterexample(17, row, "Layer2", 0.5, 1e-7, 5e6, (1,), 9)
    assert "1 of 3 inputs away from the centre, seed 9" in found.describe()
    assert "Layer2 is off by 0.5, allowed 1e-07" in found.describe()
    data = found.as_dict()
    assert data["inputs"] == [0.0, 2.0, 0.0]
    assert data["away_from_the_centre"] == {"1": 2.0}
    assert (data["layer"], data["seed"]) == ("Layer2", 9)


def test_a_network_with_too_many_weights_is_not_searched_and_the_report_says_so(network, legacy, monkeypatch):
    assert why_unsearched(case_of(network, plain_port(legacy))) == ""
    monkeypatch.setattr(search, "MOST_WEIGHTS", 100)
    assert "more than" in why_unsearched(case_of(network, plain_port(legacy)))
    report = porter.verify(network, plain_port(legacy), rows=64)
    assert report.verdict == "parity"
    assert report.link_notes["build"].endswith("no search: the network has more than 100 weights")


def test_a_port_of_one_size_of_batch_is_not_searched_and_the_report_says_so(keras, fixtures):
    path = fixtures / "square_7-7-7-7-7.h5"
    plain = plain_port(read_legacy(path))
    x = keras.Input(batch_shape=(32, 7))
    report = porter.verify(path, keras.Model(x, keras.ops.reshape(plain(x), (32, 7))), rows=100)
    assert report.verdict == "parity"
    assert "no search: the port cannot be called with two rows" in report.link_notes["build"]


def test_a_row_that_is_off_without_end_is_made_smaller_like_any_other():
    """An error where nothing is allowed has no ratio that Hypothesis could aim at."""
    box = search.Box(np.full(3, -1.0), np.full(3, 1.0), np.zeros(3))
    rows, worst = [], [0.0]

    def holds(fed):
        is_off = np.abs(fed).max() > 0.25
        worst[0] = np.inf if is_off else worst[0]
        if is_off:
            rows.append(fed[0])
        return not is_off

    search._drive(holds, box, 0, lambda: worst[0])
    assert np.abs(rows[-1]).max() < 0.35 and np.count_nonzero(rows[-1]) == 1
