"""Any network in any legal layout gives the same canonical arrays."""

from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import porter
from porter.formats.readers import FAMILIES
from reference.programs import oc_smart
from tests.formats.files import kernels_and_biases

GROUPS = [("Weights", "Bias"), ("weights", "biases"), ("W", "b"), ("kernel", "bias"), ("KERNELS", "BIASES")]
SPELLINGS = ["Layer{}", "layer_{}", "dense_{}", "{}", "L{:02d}"]
# How often each way of packing is legal for a dataset of any size.
PACKINGS = [{}, {"chunks": True}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True, "fletcher32": True}]


@st.composite
def layouts(draw):
    """Widths and everything that a legal file may choose."""
    widths = draw(st.lists(st.integers(1, 16), min_size=2, max_size=13))
    return {
        "widths": widths,
        "groups": draw(st.sampled_from(GROUPS)),
        "spell": draw(st.sampled_from(SPELLINGS)),
        "orientation": draw(st.sampled_from(["units-first", "inputs-first"])),
        "bias_shape": draw(st.sampled_from([(-1,), (-1, 1), (1, -1)])),
        "dtype": draw(st.sampled_from(["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])),
        "layers": draw(st.booleans()),
        "norms": draw(st.booleans()),
        "packing": draw(st.sampled_from(PACKINGS)),
        "magnitude": draw(st.sampled_from([1e-3, 1.0, 1e3])),
        "seed": draw(st.integers(0, 2**16)),
    }


def write_layout(path, layout):
    """The canonical arrays in the stored dtype, native; written in the layout."""
    kernels, biases = kernels_and_biases(layout["widths"], layout["seed"])
    kernels = [(layout["magnitude"] * kernel).astype(layout["dtype"]) for kernel in kernels]
    biases = [bias.astype(layout["dtype"]) for bias in biases]
    with h5py.File(path, "w") as file:
        for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
            name = layout["spell"].format(number)
            stored = kernel.T if layout["orientation"] == "units-first" else kernel
            file.create_dataset(f"{layout['groups'][0]}/{name}", data=stored, **layout["packing"])
            shaped = bias.reshape(layout["bias_shape"])
            file.create_dataset(f"{layout['groups'][1]}/{name}", data=shaped, **layout["packing"])
        if layout["layers"]:
            file["Layers"] = np.array(layout["widths"], "i2")
        if layout["norms"]:
            file["Norm_in"] = np.stack([np.full(layout["widths"][0], -2.0), np.arange(layout["widths"][0])], axis=1)
            file["Norm_out"] = np.tile([0.0, 1.0], (layout["widths"][-1], 1))
    return kernels, biases


def same(network, kernels, biases):
    """Whether the canonical arrays are these, bit for bit, in native byte order."""
    pairs = zip(network.dense_layers, kernels, biases, strict=True)
    return all(
        layer.kernel.dtype == kernel.dtype.newbyteorder("=")
        and layer.kernel.dtype.isnative
        and np.array_equal(layer.kernel, kernel)
        and layer.bias is not None
        and np.array_equal(layer.bias, bias)
        for layer, kernel, bias in pairs
    )


@given(layouts())
def test_any_legal_layout_reads_to_the_same_arrays(layout):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.h5"
        kernels, biases = write_layout(path, layout)
        network = porter.read(path, orientation=layout["orientation"])
        assert network.widths == tuple(layout["widths"])
        assert same(network, kernels, biases)
        assert not same(network, kernels, [bias + 1 for bias in biases])


@given(layouts())
def test_without_options_the_reference_reads_the_same(layout):
    """The reference makes out order and orientation by itself, on the arrays as stored."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.h5"
        write_layout(path, layout)
        network = porter.read(path)
        program = oc_smart.program(network.source.arrays, network.source.attributes)
        assert [step.name for step in program.steps] == [layer.name for layer in network.layers]
        orientations = {c.layer: c.value for c in network.claims if c.convention == "orientation"}
        for layer in network.dense_layers:
            step = program.step(layer.name)
            assert step.orientation == orientations[layer.name]
            assert step.width == layer.kernel.shape


@given(layouts())
def test_what_is_proven_by_shape_is_true(layout):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.h5"
        kernels, _ = write_layout(path, layout)
        network = porter.read(path)
        for claim, kernel in zip(network.claims, kernels, strict=False):
            assert claim.convention == "orientation"
            if claim.evidence == "shape":
                assert claim.value == layout["orientation"]
                assert kernel.shape[0] != kernel.shape[1]
            else:
                assert claim.evidence == "assumed"


def test_every_registered_reader_says_what_it_reads():
    assert all(reader.name == name and reader.describes for name, reader in FAMILIES.items())
    assert list(FAMILIES)[:2] == ["keras-legacy", "keras"]


def test_the_check_of_arrays_notices_a_transposed_square_kernel():
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.h5"
        layout = {
            "widths": [4, 4, 3],
            "groups": GROUPS[0],
            "spell": SPELLINGS[0],
            "orientation": "units-first",
            "bias_shape": (-1, 1),
            "dtype": "<f8",
            "layers": True,
            "norms": True,
            "packing": {},
            "magnitude": 1.0,
            "seed": 0,
        }
        kernels, biases = write_layout(path, layout)
        assert same(porter.read(path), kernels, biases)
        wrong = porter.read(path, orientation=["inputs-first", "units-first"])
        assert not same(wrong, kernels, biases)


@pytest.mark.parametrize("packing", PACKINGS)
def test_each_packing_is_really_used(tmp_path, packing):
    layout = {
        "widths": [3, 2],
        "groups": GROUPS[0],
        "spell": SPELLINGS[0],
        "orientation": "units-first",
        "bias_shape": (-1,),
        "dtype": "<f4",
        "layers": False,
        "norms": False,
        "packing": packing,
        "magnitude": 1.0,
        "seed": 1,
    }
    write_layout(tmp_path / "net.h5", layout)
    with h5py.File(tmp_path / "net.h5") as file:
        assert file["Weights/Layer1"].compression == packing.get("compression")
    assert porter.read(tmp_path / "net.h5").widths == (3, 2)
