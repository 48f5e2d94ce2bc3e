"""What runs a port, and what the report says of it."""

from __future__ import annotations

import dataclasses

import pytest

import porter
from porter.ports.keras import atoms as port_atoms
from porter.ports.runtime import Runtime, current_runtime
from porter.verdict.notes import runtime_notes

H100 = Runtime("jax", "0.11.2", "gpu", tensorfloat32=True, short_sums=True)


def test_tensorflow_on_a_cpu_multiplies_in_all_of_float32(keras):
    found = current_runtime()
    assert (found.backend, found.device, found.tensorfloat32, found.short_sums) == ("tensorflow", "cpu", False, False)
    assert str(found).startswith("TensorFlow 2.") and str(found).endswith(" on cpu")
    assert not list(runtime_notes(found, ["float32", "float64", "bfloat16"]))


def test_what_a_gpu_does_is_said_for_the_formats_that_it_is_done_to():
    (note,) = runtime_notes(H100, ["float32"])
    assert note.startswith("JAX 0.11.2 on gpu multiplies float32 in tensorfloat32")
    (note,) = runtime_notes(H100, ["bfloat16"])
    assert "partial sums to 16 bits" in note
    (note,) = runtime_notes(H100, ["float64"])
    assert note.startswith("no accuracy of activations was measured for JAX 0.11.2 on gpu")
    assert not list(runtime_notes(dataclasses.replace(H100, tensorfloat32=False), ["float32"]))


@pytest.mark.usefixtures("keras")
def test_a_port_on_such_a_gpu_is_judged_by_what_that_does(monkeypatch, fixtures):
    network = porter.read(fixtures / "square_7-7-7-7-7.h5")
    port = porter.build(network)
    usual = {row.layer: row.allowed for row in porter.verify(network, port, search=False, rows=64).layers}
    monkeypatch.setattr(port_atoms, "current_runtime", lambda: H100)
    wider = {row.layer: row.allowed for row in porter.verify(network, port, search=False, rows=64).layers}
    growth = [wider[layer] / usual[layer] for layer in ("Layer1", "Layer2", "Layer3", "Layer4")]
    # The worst element may be another one, but no bound is smaller, and one at least is that of 10 bits for 23.
    assert min(growth) >= 1 and max(growth) > 10
    assert wider["Norm_in"] == usual["Norm_in"]  # a scaling has no sums of products
