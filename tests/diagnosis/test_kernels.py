"""How a kernel came about from the numbers of the file, told from the numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from porter.diagnosis.kernels import (
    correlation,
    describe_constant,
    describe_initializer,
    describe_relation,
    explain_kernel,
    layouts,
)
from porter.examination.suspect import Stored
from tests.diagnosis.suspects import codes, steps, suspect

SQUARE, OBLONG = (6, 6), (6, 4)


def file(shape=SQUARE):
    return steps([shape, shape, shape] if shape[0] == shape[1] else [shape, (4, 6), shape])


def own(network, position=1):
    return Stored.of(network[position]).kernel.copy()


def explained(network, kernel, position=1, **options):
    return explain_kernel(suspect(network, position, kernel=kernel, **options))


def test_the_right_kernel_has_no_cause():
    network = file()
    found = explained(network, own(network))
    assert found.causes == ()
    assert found.source.name == "Layer2"
    assert found.columns is None


def test_a_kernel_one_unit_in_the_last_place_off_has_no_cause_and_two_have():
    network, kernel = file(), own(file())
    kernel[2, 3] = np.nextafter(kernel[2, 3], 9)
    assert explained(network, kernel).causes == ()
    kernel[2, 3] = np.nextafter(kernel[2, 3], 9)
    assert codes(explained(network, kernel).causes) == ["kernel.values"]


def changed_square():
    kernel = own(file())
    yield "kernel.transposed", kernel.T
    yield "kernel.flipped", kernel[::-1, ::-1]
    yield "kernel.values", -kernel
    yield "kernel.precision", kernel.astype(np.float16).astype(float)
    yield "kernel.precision", kernel.astype(np.float32).astype(float)
    yield "kernel.precision", np.round(kernel, 4)
    yield "kernel.precision", np.vectorize(lambda v: float(f"{v:.5g}"))(kernel)
    one = kernel.copy()
    one[4, 1] *= 1.001
    yield "kernel.values", one
    one = kernel.copy()
    one[4, 1] *= -1
    yield "kernel.values", one
    yield "kernel.values", 1.5 * kernel
    yield "kernel.unset", np.full(SQUARE, kernel[0, 0])
    yield "kernel.unset", np.zeros(SQUARE)
    yield "kernel.unset", np.eye(6)


@pytest.mark.parametrize("index", range(13))
def test_each_change_of_a_square_kernel_is_called_by_its_name(index):
    code, kernel = list(changed_square())[index]
    assert codes(explained(file(), kernel).causes) == [code]


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_reshaped_kernel_is_no_transposed_one(order):
    network = file(OBLONG)
    stored = network[0].weights
    kernel = stored.reshape(OBLONG, order=order)
    (cause,) = explained(network, kernel, 0).causes
    assert cause.code == "kernel.reshaped"
    assert f"reshaped in {order} order" in cause.message
    assert codes(explained(network, stored.T, 0).causes) == []


def test_a_transposed_symmetric_kernel_is_right():
    network = file()
    symmetric = network[1].weights + network[1].weights.T
    network[1] = type(network[1])("Layer2", (), symmetric, network[1].bias, network[1].activation)
    assert explained(network, symmetric.T).causes == ()


def test_bytes_read_in_the_other_order():
    network = file()
    kernel = network[1].weights.byteswap().T
    found = explained(network, kernel)
    assert codes(found.causes) == ["kernel.values"]
    assert "byte order" in found.causes[0].message


def test_the_augmented_matrix_taken_apart_at_the_wrong_end():
    network = file(OBLONG)
    layer = Stored.of(network[0])
    stacked = np.vstack([layer.bias[None], layer.kernel])
    assert codes(explained(network, stacked[:-1], 0).causes) == ["kernel.augmented"]


def test_the_kernel_of_another_layer_is_known_as_that():
    network = file()
    found = explained(network, own(network, 0))
    assert found.source.name == "Layer1"
    assert found.causes == ()


def test_the_kernel_of_another_layer_transposed_is_both():
    network = file()
    found = explained(network, own(network, 2).T)
    assert found.source.name == "Layer3"
    assert codes(found.causes) == ["kernel.transposed"]


def test_two_layers_with_the_same_kernel_are_twins():
    network = file()
    network[2] = type(network[2])("Layer3", (), network[0].weights, network[2].bias, network[2].activation)
    found = explained(network, own(network, 0))
    assert found.source.name == "Layer1"
    assert found.twins == ("Layer3",)


def test_transposed_and_one_weight_wrong_are_two_causes():
    network, kernel = file(), own(file()).T.copy()
    kernel[0, 5] += 1
    assert codes(explained(network, kernel).causes) == ["kernel.transposed", "kernel.values"]


def test_transposed_and_rounded_are_two_causes():
    network, kernel = file(), own(file()).T.astype(np.float16).astype(float)
    assert codes(explained(network, kernel).causes) == ["kernel.transposed", "kernel.precision"]


ORDER = np.array([2, 0, 1, 3, 5, 4])


@pytest.mark.parametrize(
    ("position", "axis", "code", "layer"),
    [
        (1, 1, "units.permuted", "Layer2"),
        (2, 1, "outputs.permuted", "Layer3"),
        (1, 0, "units.permuted", "Layer2"),
        (0, 0, "inputs.permuted", "Layer1"),
    ],
)
def test_rows_and_columns_in_another_order(position, axis, code, layer):
    network = file()
    kernel = np.take(own(network, position), ORDER, axis=axis)
    (cause,) = explained(network, kernel, position).causes
    assert (cause.code, cause.layer) == (code, layer)


def test_the_message_names_the_two_that_are_exchanged():
    network = file()
    kernel = own(network)[:, [0, 4, 2, 3, 1, 5]]
    (cause,) = explained(network, kernel).causes
    assert "units 1 and 4 are exchanged" in cause.message


def test_the_message_lists_the_entries_that_differ():
    network, kernel = file(), own(file())
    kernel[4, 1] = 7.0
    (cause,) = explained(network, kernel).causes
    assert "1 of 36 entries differs: [4, 1] 7 for" in cause.message


def test_numbers_of_no_layer_are_unexplained_with_least_squares():
    network = file()
    kernel = np.random.default_rng(9).standard_cauchy(SQUARE)
    (cause,) = explained(network, kernel).causes
    assert cause.code == "unexplained"
    assert "correlation" in cause.detail


def test_a_kernel_of_another_shape_is_not_explained_as_anything_else():
    network = file()
    (cause,) = explained(network, np.random.default_rng(9).standard_cauchy((6, 5))).causes
    assert cause.code == "unexplained"


@given(st.sampled_from(["glorot_uniform", "he_uniform", "lecun_uniform"]), st.integers(0, 1000))
def test_uniform_initializers_are_recognised(name, seed):
    limit = np.sqrt({"glorot_uniform": 6 / 80, "he_uniform": 6 / 40, "lecun_uniform": 3 / 40}[name])
    rng = np.random.default_rng(seed)
    found = describe_initializer(rng.uniform(-limit, limit, (40, 40)), rng.normal(size=(40, 40)))
    assert found is not None and "spread like" in found


@given(st.integers(0, 1000))
def test_trained_weights_are_not_taken_for_an_initializer(seed):
    """The negative control: heavy tails, an offset, or another width."""
    rng = np.random.default_rng(seed)
    stored = rng.normal(size=(40, 40))
    assert describe_initializer(rng.standard_cauchy((40, 40)), stored) is None
    assert describe_initializer(rng.normal(0.5, 0.1, (40, 40)), stored) is None
    assert describe_initializer(rng.normal(0, 3.0, (40, 40)), stored) is None
    assert describe_initializer(stored + 0.01, stored) is None


def test_the_first_element_of_the_stored_array_is_recognised():
    stored = np.random.default_rng(0).normal(size=(4, 4))
    assert "first element of the stored array" in describe_constant(np.full((4, 4), stored[0, 0]), stored)
    assert "first element" not in describe_constant(np.full((4, 4), 0.5), stored)
    assert describe_constant(stored, stored) is None


@pytest.mark.parametrize("value", [0.25, 1.0, 0.0])
def test_a_kernel_that_is_constant_in_the_file_is_right(value):
    """A layer that averages; and a kernel of one entry, which is always constant."""
    network = file()
    network[1] = type(network[1])("Layer2", (), np.full(SQUARE, value), network[1].bias, network[1].activation)
    assert explained(network, np.full(SQUARE, value)).causes == ()


def test_one_wrong_entry_of_one_is_a_wrong_value():
    network = steps([(1, 1), (1, 1)])
    assert codes(explained(network, own(network) * 1.01).causes) == ["kernel.values"]
    assert codes(explained(network, own(network), 1).causes) == []


def test_multiples_of_the_stored_kernel():
    stored = np.random.default_rng(0).normal(size=(5, 4))
    assert "every entry multiplied by 2.5" in describe_relation(2.5 * stored, stored)
    assert "rows multiplied by" in describe_relation(stored * np.arange(1, 6)[:, None], stored)
    assert "columns multiplied by" in describe_relation(stored * np.arange(1, 5), stored)
    assert "only loosely" in describe_relation(stored + 0.1 * np.random.default_rng(1).normal(size=(5, 4)), stored)
    assert describe_relation(np.random.default_rng(2).normal(size=(5, 4)), stored) is None


def test_correlation_of_what_is_constant_is_none():
    assert correlation(np.ones((2, 2)), np.eye(2)) == 0.0
    assert correlation(np.eye(2), np.eye(2)) == pytest.approx(1.0)
    assert correlation(-np.eye(2), np.eye(2)) == pytest.approx(-1.0)


def test_layouts_have_the_shape_and_come_once_the_right_one_first():
    network = file()
    found = list(layouts(Stored.of(network[1]), SQUARE))
    assert found[0].code == "" and np.array_equal(found[0].array, own(network))
    assert all(layout.array.shape == SQUARE for layout in found)
    for i, one in enumerate(found):
        assert not any(np.array_equal(one.array, other.array) for other in found[:i])
    assert list(layouts(Stored.of(network[1]), (6, 5))) == []


def test_the_remedy_can_be_pasted():
    (cause,) = explained(file(), own(file()).T).causes
    assert cause.remedy == 'model.get_layer("dense").kernel.assign(network.layer("Layer2").kernel)'


# --- statements that have to be true when carried out ----------------------------------------------------------------

STATEMENTS = {
    "every entry of the kernel stands without its sign": np.abs,
    "the kernel is turned by a quarter to the left": np.rot90,
    "the kernel is turned by a quarter to the right": lambda kernel: np.rot90(kernel, -1),
    "the kernel stands transposed about its other diagonal": lambda kernel: kernel[::-1, ::-1].T,
    "every entry of the kernel has the opposite sign": np.negative,
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_is_said_of_a_kernel_gives_it_when_done_to_the_file(statement):
    network = file()
    found = explained(network, STATEMENTS[statement](own(network)))
    assert [cause.message for cause in found.causes] == [statement]


def test_a_sign_turned_in_half_of_the_entries_is_not_said_of_every_one():
    network, kernel = file(), own(file())
    kernel[:3] *= -1
    assert "every entry" not in explained(network, kernel).causes[0].message
    kernel = -own(file())
    kernel[0, 0] *= 1.5
    assert explained(network, kernel).causes[0].message.endswith("opposite sign, all but 1 of 36")


@pytest.mark.parametrize("source", [1, 2])
def test_the_files_own_numbers_in_some_other_order_are_no_initial_values(source):
    network = file()
    shuffled = np.random.default_rng(0).permutation(own(network, source).ravel()).reshape(SQUARE)
    (cause,) = explained(network, shuffled).causes
    whose = "the file's own numbers" if source == 1 else "the numbers of Layer3"
    assert cause.code == "kernel.values"
    assert cause.message == f"the kernel holds {whose} in another order, which is none of those that were tried"
    shuffled[0, 0] *= 1.001
    assert "in another order" not in explained(network, shuffled).causes[0].message


def test_a_bell_curve_may_be_another_networks_and_a_uniform_spread_is_an_initializers():
    network, rng = steps([(30, 30)] * 3), np.random.default_rng(5)
    bell = explained(network, rng.normal(0, np.sqrt(2 / 60), (30, 30)))
    assert bell.causes[0].code == "kernel.unset"
    assert "initial values, or another network's: spread like glorot_normal" in bell.causes[0].message
    assert bell.twins == ("a kernel of another network",)
    limit = np.sqrt(6 / 60)
    flat = explained(network, rng.uniform(-limit, limit, (30, 30)))
    assert flat.causes[0].message.startswith("the kernel still has initial values: spread like glorot_uniform")
    assert flat.twins == ()
