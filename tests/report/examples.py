"""Reports made by hand, one of each kind, for every renderer's tests."""

from __future__ import annotations

import numpy as np

from porter.network import Claim
from porter.report.model import Finding, LayerRow, Witness
from porter.report.report import Report

LAYERS = ("Layer1", "Layer2", "Layer3")
PROVENANCE = {
    "legacy": "nets/PACE_example_aaNN.h5",
    "legacy_sha256": "9f" * 32,
    "port": "aa.keras",
    "port_sha256": "0c" * 32,
    "declarations": {"output_activation": "linear"},
    "versions": {"porter": "0.1.0", "numpy": "2.2.0", "keras": "3.15.1"},
    "seed": 0,
    "command": "porter verify PACE_example_aaNN.h5 aa.keras",
}
COVERAGE = "2,000 rows: the corners of the documented range, basis vectors, wide layer-local vectors."


def _claims() -> tuple[Claim, ...]:
    how = "The file does not say it. Give golden samples (--samples golden.npz), or declare it (--activation tanh)."
    orientations = tuple(Claim(layer, "orientation", "units-first", "shape") for layer in LAYERS)
    return (
        *orientations,
        Claim("Layer1", "activation", "tanh", "assumed", how),
        Claim("Layer2", "activation", "tanh", "assumed", how),
        Claim("Layer3", "activation", "linear", "declared"),
    )


def parity() -> Report:
    """Every layer within rounding, in another runtime as well; Norm_in folded into the first."""
    rows = (
        LayerRow("Norm_in", ("Layer1",), "folded into Layer1", dtype="float32"),
        LayerRow("Layer1", ("Layer1",), "parity", 1.2e-7, 1.2e-7, 8.8e-7, "row 3 of corners, unit 1", 2000, 0, 2e-7),
        LayerRow("Layer2", ("Layer2",), "parity", 2.4e-7, 4.1e-7, 3.1e-6, "row 9 of corners, unit 0", 2000, 0, 3e-7),
        LayerRow("Layer3", ("Layer3",), "parity", 0.0, 5.0e-7, 2.0e-6, "row 0 of corners, unit 0", 2000, 0, 0.0),
    )
    return Report(
        verdict="parity",
        links={"reading": "assumed", "build": "parity", "save": "parity", "export": "not checked"},
        link_notes={"build": "3 layers against the reference on 2,000 rows.", "save": "Bit-identical outputs."},
        layers=rows,
        claims=_claims(),
        notes=(COVERAGE,),
        provenance=PROVENANCE,
        witnesses=(
            Witness("the port itself", "Keras 3.15.1", "parity", 5.0e-7, rows),
            Witness("onnxruntime", "onnxruntime 1.32.0", "parity", 4.1e-7, rows[1:], (), "2,000 inputs"),
        ),
        when="2026-01-31 12:00 UTC",
    )


def mismatch() -> Report:
    """A transposed square kernel in Layer2, a ReLU in Layer1, with every picture."""
    rows = (
        LayerRow(
            "Layer1", ("dense",), "mismatch", 9.1e-1, 9.1e-1, 6e-8, "row 7 of wide probes, unit 2", 2000, 961, 0.46
        ),
        LayerRow(
            "Layer2",
            ("dense_1",),
            "mismatch",
            3.21e-1,
            8.7e-1,
            4.1e-7,
            "row 17 of basis probes, unit 3",
            2000,
            1200,
            0.32,
        ),
        LayerRow("Layer3", ("dense_2",), "parity", 1.2e-7, 7.9e-1, 8.8e-7, "row 4 of corners, unit 1", 2000, 0, 1e-7),
    )
    findings = (
        Finding(
            "kernel.transposed",
            "Layer2",
            ("dense_1",),
            "The kernel of dense_1 is the transpose of the stored one.",
            "found == stored.T in all 9 elements; found == stored in 3.",
            "# Transpose the kernel before setting it:\n"
            'model.get_layer("dense_1").kernel.assign(network.layer("Layer2").kernel)',
        ),
        Finding(
            "activation.replaced",
            "Layer1",
            ("dense",),
            "dense applies relu where the legacy layer applies tanh.",
            "relu(z) explains all 2,000 elements; tanh(z) explains 40.",
            'model.get_layer("dense").activation = keras.activations.get("tanh")',
            certain=False,
        ),
    )
    return Report(
        verdict="mismatch",
        links={"reading": "assumed", "build": "mismatch", "save": "not checked", "export": "not checked"},
        link_notes={"build": "3 layers against the reference on 2,000 rows."},
        layers=rows,
        claims=_claims(),
        findings=findings,
        notes=(COVERAGE, "Layer1 and Layer2 are judged alone: the error of one does not hide the other."),
        provenance=PROVENANCE,
        when="2026-01-31 12:00 UTC",
        counterexample={"layer": "Layer2", "inputs": [0.0, 1.0, 0.0], "expected": 0.25, "actual": -0.071},
        after_remedy="parity",
        pictures=_pictures(),
    )


def _pictures() -> dict[str, object]:
    random = np.random.default_rng(0)
    kernel = np.round(random.normal(size=(3, 3)), 2)
    z = np.linspace(-3, 3, 61)
    expected = random.normal(size=(200, 2))
    return {
        "outputs": {"expected": expected, "actual": expected + random.normal(size=(200, 2)) / 4},
        "scaled_errors": {"Layer1": 10 ** random.normal(2, 2, 500), "Layer3": random.uniform(0, 0.6, 500)},
        "kernels": {"Layer2": {"stored": kernel, "found": kernel.T}},
        "activations": {"Layer1": {"z": z, "expected": np.tanh(z), "actual": np.maximum(z, 0)}},
        "after_remedy": {"Layer2": 2.1e-7},
    }


def inconclusive() -> Report:
    """A layer that no layer of the port computes."""
    rows = (
        LayerRow("Layer1", ("dense",), "parity", 1.2e-8, 1.2e-8, 6e-8, "row 3 of corners, unit 1", 2000, 0, 2e-8),
        LayerRow("Norm_out", (), "uncompared"),
    )
    return Report(
        verdict="inconclusive",
        links={"reading": "declared", "build": "inconclusive", "save": "not checked", "export": "not checked"},
        link_notes={},
        layers=rows,
        claims=(Claim("Norm_out", "scaling", "[-1,1]", "declared"),),
        notes=("The port has no scaling step and none is declared to be outside: --placement outside?",),
    )


def hostile() -> Report:
    """Names that attack every renderer: HTML, rich markup, terminal escapes, text direction, XML, infinite errors."""
    name = "<script>alert(1)</script>[red]&\x1b[31m\u202e\x00\"'"
    row = LayerRow(name, (name,), "mismatch", float("inf"), float("nan"), 1e-7, name, 10, 10, float("-inf"), name)
    finding = Finding("unexplained", name, (name,), name, name, f"{name}\n    {name}")
    return Report(
        verdict="mismatch",
        links={"reading": "contradicted", "build": "mismatch", "save": "not checked", "export": "not checked"},
        link_notes={"build": name},
        layers=(row,),
        claims=(Claim(name, name, name, "contradicted", name), Claim(name, name, name, "assumed", name)),
        findings=(finding,),
        notes=(name,),
        provenance={name: {"path": name}, "array": np.array([1.0, np.nan])},
        counterexample={name: name, "inputs": np.array([np.inf])},
        pictures={
            "scaled_errors": {name: np.array([1.0, np.inf, np.nan])},
            "kernels": {name: {"stored": np.eye(2), "found": np.full((2, 2), np.nan)}},
            "activations": {name: {"z": np.arange(2.0), "expected": np.arange(2.0), "actual": np.arange(2.0)}},
            "after_remedy": {name: 1e-8},
        },
    )


EXAMPLES = {"parity": parity, "mismatch": mismatch, "inconclusive": inconclusive, "hostile": hostile}
