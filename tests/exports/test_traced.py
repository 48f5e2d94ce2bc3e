"""Ports that show what their layers give: judged layer by layer, their mistakes named, and a negative control each."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import porter
from porter.errors import PortError, UsageError
from porter.formats.programs import build_program
from porter.ports.traced import TracedPort
from reference.precision import Precision
from tests.exports.mistakes import PLANTED, with_layer
from tests.exports.networks import small


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return small(tmp_path_factory.mktemp("networks"))


def port_of(network, layers=None, precision="float64", change=lambda values: values):
    """The canonical network, run by NumPy in this process; of its layers only some shown."""
    from porter.exports.numpy_file import _lines
    from porter.exports.plan import make_plan
    from porter.exports.registry import WriteOptions

    scope = {"__name__": "port"}
    exec("\n".join(_lines(make_plan(network, WriteOptions(precision=precision), "Python"))), scope)

    def run(inputs):
        values = change(scope["layers"](inputs[0]))
        return {name: value for name, value in values.items() if layers is None or name in layers}

    last = network.layers[-1].name
    return TracedPort("small", "NumPy", run, (last,), Precision(precision, precision))


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_right_port_is_at_parity_in_every_layer(network, precision):
    report = porter.verify(network, port_of(network, precision=precision))
    assert report.verdict == "parity", str(report)
    assert report.links["export"] == "parity" and report.links["build"] == "not checked"
    assert [row.verdict for row in report.layers] == ["parity"] * 8
    assert {row.dtype for row in report.layers} == {precision}


@pytest.mark.parametrize("code", PLANTED)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_planted_mistake_is_named_at_its_layer(network, code, precision):
    layer, change = PLANTED[code]
    report = porter.verify(network, port_of(with_layer(network, layer, change), precision=precision))
    assert report.verdict == "mismatch" and report.links["export"] == "mismatch"
    assert [row.layer for row in report.layers if row.verdict == "mismatch"] == [layer]
    assert [(finding.code, finding.layer) for finding in report.findings] == [(code, layer)], str(report)
    if code == "kernel.values":
        assert "[1, 2] is off by 0.01" in report.findings[0].message


def test_what_is_not_shown_is_judged_with_the_next_layer_that_is(network):
    report = porter.verify(network, port_of(network, layers=("Layer2", "Layer5", "Norm_out")))
    verdicts = {row.layer: row.verdict for row in report.layers}
    assert report.verdict == "parity"
    assert verdicts["Norm_in"] == verdicts["Layer1"] == "folded into Layer2"
    assert verdicts["Layer3"] == "folded into Layer5" and verdicts["Norm_out"] == "parity"


def test_a_mistake_in_what_is_not_shown_is_a_mismatch_all_the_same(network):
    layer, change = PLANTED["kernel.transposed"]
    wrong = with_layer(network, layer, change)
    report = porter.verify(network, port_of(wrong, layers=("Layer5", "Norm_out")))
    assert report.verdict == "mismatch"
    assert {row.layer: row.verdict for row in report.layers}["Layer5"] == "mismatch"


def test_outputs_alone_are_not_parity_of_layers_that_were_never_seen(network):
    hidden = port_of(network, layers=("Norm_out",))
    report = porter.verify(network, hidden)
    assert report.verdict in ("parity", "inconclusive")
    assert all(row.verdict in ("folded into Norm_out", "parity", "uncompared") for row in report.layers)
    wrong = with_layer(network, *PLANTED["bias.missing"])
    assert porter.verify(network, port_of(wrong, layers=("Norm_out",))).verdict == "mismatch"


def test_a_port_that_gives_other_numbers_each_time_is_a_mismatch(network):
    rng = np.random.default_rng(0)

    def jitter(values):
        last = list(values)[-1]
        return {**values, last: values[last] * (1 + 1e-16 * rng.integers(-2, 3, values[last].shape))}

    report = porter.verify(network, port_of(network, change=jitter))
    assert "call.unsteady" in [finding.code for finding in report.findings]


def test_a_port_that_is_wrong_for_one_row_alone_is_a_mismatch(network):
    def wrong(values):
        return {name: value + (len(value) == 1) * 0.01 for name, value in values.items()}

    assert porter.verify(network, port_of(network, change=wrong)).verdict == "mismatch"


def test_a_missing_value_that_becomes_a_number_is_told(network):
    report = porter.verify(network, port_of(network, change=lambda v: {n: np.nan_to_num(x) for n, x in v.items()}))
    assert any("missing value" in note for note in report.notes)
    assert not any("missing value" in note for note in porter.verify(network, port_of(network)).notes)


def test_a_side_of_an_activation_that_no_row_reaches_is_told(network):
    """What is done to negative numbers where there are none was not compared, and the notes say so."""
    lifted = with_layer(network, "Layer5", lambda layer: replace(layer, bias=layer.bias + 1e4))
    source = replace(
        network.source, arrays={**network.source.arrays, "Bias/Layer5": lifted.layer("Layer5").bias[:, None]}
    )
    lifted = replace(lifted, source=source)

    def counted(network):
        told = " ".join(porter.verify(network, port_of(network)).notes)
        found = re.search(r"Layer5: (\d) of 4 units never see a negative number", told)
        return 0 if found is None else int(found[1])

    assert counted(lifted) == 4 > counted(network)


def test_layers_that_the_legacy_formula_has_not_are_told(network):
    more = port_of(network, change=lambda values: {**values, "Transform_out": np.exp(values["Norm_out"])})
    report = porter.verify(network, more)
    assert any("Transform_out: was it made with --physical?" in note for note in report.notes)


def test_a_runtime_that_raises_is_a_refusal(network):
    def broken(inputs):
        raise RuntimeError("no such operation")

    port = replace(port_of(network), run=broken)
    with pytest.raises(PortError, match="no such operation"):
        porter.verify(network, port)


def test_exposed_arrays_are_compared_exactly(network):
    """A change that no bound in float32 shows."""
    arrays = {layer.name: (layer.kernel.copy(), layer.bias) for layer in network.dense_layers}
    port = replace(port_of(network, precision="float32"), weights=lambda: arrays)
    cast = {
        name: (k.astype(np.float32).astype(float), b.astype(np.float32).astype(float))
        for name, (k, b) in arrays.items()
    }
    assert porter.verify(network, replace(port, weights=lambda: cast)).verdict == "parity"
    cast["Layer2"][0][1, 2] *= 1 + 1e-6
    report = porter.verify(network, replace(port, weights=lambda: cast))
    assert [(f.code, f.layer) for f in report.findings] == [("kernel.values", "Layer2")]
    assert "[1, 2]" in report.findings[0].message


def test_a_file_written_and_verified(network, tmp_path):
    report = porter.export(network, tmp_path / "small.py")
    assert report.verdict == "parity" and (tmp_path / "small.py").exists()
    with pytest.raises(UsageError, match="--compile"):
        porter.verify(network, tmp_path / "small.py")
    assert porter.verify(network, tmp_path / "small.py", compile=True).verdict == "parity"


def test_the_reference_runs_apart_from_what_is_written(network):
    """Negative control of the tests above: the mistake is in what is written, not in what it is held against."""
    wrong = with_layer(network, *PLANTED["bias.negated"])
    rows = np.random.default_rng(1).normal(size=(4, 5))
    assert np.array_equal(build_program(wrong)(rows)[0], build_program(network)(rows)[0])
