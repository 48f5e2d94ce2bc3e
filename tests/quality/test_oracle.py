"""The oracle that says whether a planted mistake differs at all, and the plants themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.equivalents import equivalents
from benchmarks.networks import draw_legacy
from benchmarks.oracle import differs, outputs
from benchmarks.plants import PLANTS, REPEATS, plant
from benchmarks.ports import Legacy, PortSpec, build, faithful


@pytest.fixture
def legacy() -> Legacy:
    rng = np.random.default_rng(4)
    return draw_legacy(rng, depth=3, width=9, activation="tanh", last="linear", magnitude=1.0, scaling=True, kind=None)


def changed(spec: PortSpec, relative: float) -> PortSpec:
    kernel = spec.layers[0].kernel.copy()
    kernel.flat[0] *= 1 + relative
    return spec.layer(0, kernel=kernel)


@pytest.mark.parametrize(
    ("dtype", "below", "above"),
    [("float32", 1e-9, 1e-6), ("float64", 1e-17, 1e-14), ("float16", 1e-5, 5e-3), ("bfloat16", 1e-4, 4e-2),
     ("mixed_float16", 1e-9, 1e-6)],
)  # fmt: skip
def test_a_weight_differs_from_two_units_in_the_last_place_on(
    legacy: Legacy, dtype: str, below: float, above: float
) -> None:
    spec = faithful(legacy, dtype)
    assert not differs(spec, changed(spec, below), "Layer1")
    assert differs(spec, changed(spec, above), "Layer1")
    assert not differs(spec, changed(spec, above), "Layer3")


def test_an_activation_differs_unless_it_is_the_same_function(legacy: Legacy) -> None:
    spec = faithful(legacy)
    assert differs(spec, spec.layer(1, activation="softsign"), "Layer2")
    assert not differs(spec, spec.layer(1, activation="two_sigmoid"), "Layer2")
    assert not differs(spec, spec.layer(2, activation="leaky_relu(negative_slope=1)"), "Layer3")


def test_a_scaling_differs_unless_it_only_rounds(legacy: Legacy) -> None:
    spec = faithful(legacy)
    assert spec.before is not None
    scale, offset = spec.before
    assert not differs(spec, replace(spec, before=(scale * (1 + 1e-9), offset)), "Norm_in")
    assert differs(spec, replace(spec, before=(scale * (1 + 1e-4), offset)), "Norm_in")
    assert differs(spec, replace(spec, before=None), "Norm_in")


def test_equivalent_forms_compute_the_same_in_long_double(legacy: Legacy) -> None:
    right = faithful(legacy, "float64")
    x = np.random.default_rng(0).standard_normal((20, legacy.widths[0]))
    wanted = outputs(right, x)
    for form in equivalents(legacy, right, np.random.default_rng(1)):
        if form.options or form.name.endswith("float32"):
            continue  # the scaling is done outside of it, or multiplied in with less than float64
        np.testing.assert_allclose(outputs(form.spec, x), wanted, rtol=1e-12, atol=1e-12, err_msg=form.name)
    assert not np.allclose(outputs(changed(right, 1e-3), x), wanted, rtol=1e-12, atol=1e-12)


def test_the_port_that_is_built_computes_what_was_described(legacy: Legacy) -> None:
    x = np.random.default_rng(0).standard_normal((20, legacy.widths[0]))
    spec = faithful(legacy, "float64")
    found = np.asarray(build(spec)(x))
    np.testing.assert_allclose(found, outputs(spec, x).astype(float), rtol=1e-12, atol=1e-12)
    assert not np.allclose(np.asarray(build(changed(spec, 1e-3))(x)), found, rtol=1e-12, atol=1e-12)


def test_a_mistake_is_registered_once() -> None:
    def kernel_transposed(legacy: Legacy, spec: PortSpec, rng: np.random.Generator) -> None:
        return None

    with pytest.raises(ValueError, match="kernel_transposed is planted twice"):
        plant(kernel_transposed)
    assert set(REPEATS) <= set(PLANTS)
