"""Golden recordings: what is kept, what is held against it, and what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import porter
from porter.testing import golden
from porter.testing.golden import (
    GoldenFormatError,
    GoldenStaleError,
    check_network,
    compare_golden,
    read_golden,
    record,
    write_golden,
)

FILE = "bare_7-16-10-7.h5"


@pytest.fixture(scope="module")
def network(fixtures):
    return porter.read(fixtures / FILE)


@pytest.fixture(scope="module")
def model(network):
    return porter.build(network)


@pytest.fixture(scope="module")
def report(network, model):
    return porter.verify(network, model, search=False, rows=50)


@pytest.fixture(scope="module")
def recording(network, model, report):
    return record(network, model, report, command="pytest --parity-record")


def _spoiled(recording, layer, factor, allowed):
    """The recording with one element of one layer moved by a multiple of what is allowed there."""
    values = recording.traces[layer].astype(np.float64)
    values[3, 1] += factor * allowed[3, 1]
    return replace(recording, traces={**recording.traces, layer: values})


def _allowed(monkeypatch, recording, network, model, layer):
    """The allowed difference of one layer, as compare_golden has it."""
    seen = []
    compare = golden.compare_outputs

    def spy(expected, actual, allowed, **rest):
        seen.append(allowed)
        return compare(expected, actual, allowed, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(golden, "compare_outputs", spy)
        compare_golden(recording, network, model)
    return seen[list(recording.traces).index(layer)]


def test_a_recording_comes_back_as_it_was_written(recording, tmp_path):
    path = tmp_path / "new" / "folder" / "golden.npz"
    write_golden(path, recording)
    again = read_golden(path)
    assert list(again.traces) == list(recording.traces)
    for name, values in recording.traces.items():
        assert np.array_equal(again.traces[name], values)
        assert again.traces[name].dtype == values.dtype
    assert np.array_equal(again.inputs[0], recording.inputs[0])
    assert again.network == recording.network
    assert again.precisions == recording.precisions
    assert again.command == "pytest --parity-record"
    assert again.history == recording.history
    assert list(path.parent.iterdir()) == [path]


def test_the_same_recording_gives_the_same_bytes(recording, tmp_path):
    write_golden(tmp_path / "a.npz", recording)
    write_golden(tmp_path / "b.npz", recording)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_the_port_gives_what_was_recorded(recording, network, model):
    compared = compare_golden(recording, network, model)
    assert list(compared) == list(recording.traces)
    assert all(found.is_parity for found in compared.values())


def test_a_port_of_another_precision_agrees_within_both_bounds(recording, network):
    compared = compare_golden(recording, network, porter.build(network, dtype="float64"))
    assert all(found.is_parity for found in compared.values())
    assert max(found.ratio for found in compared.values()) > 1e-3


@pytest.mark.parametrize(("factor", "agrees"), [(0.97, True), (1.03, False), (1e6, False)])
def test_the_bound_is_tested_just_inside_and_just_outside(monkeypatch, recording, network, factor, agrees):
    model = porter.build(network, dtype="float64")
    layer = list(recording.traces)[-1]
    exact = record_exactly(recording, network, model)
    allowed = _allowed(monkeypatch, exact, network, model, layer)
    compared = compare_golden(_spoiled(exact, layer, factor, allowed), network, model)
    assert compared[layer].is_parity is agrees
    assert compared[layer].exceeding == (0 if agrees else 1)


def record_exactly(recording, network, model):
    report = porter.verify(network, model, search=False, rows=50)
    return replace(record(network, model, report, command=""), precisions=recording.precisions)


def test_a_changed_hash_is_an_error_that_says_so(recording, network):
    other = replace(recording, network={**recording.network, "sha256": "0" * 64})
    with pytest.raises(GoldenStaleError) as caught:
        check_network(other, network)
    message = str(caught.value)
    assert "hash changed" in message
    assert network.source.sha256 in message
    assert "0" * 64 in message
    assert "--parity-update" in message


def test_other_options_are_an_error_that_says_so(recording, fixtures):
    other = porter.read(fixtures / FILE, activation="relu")
    with pytest.raises(GoldenStaleError, match=r"read in another way(.|\n)*relu"):
        check_network(recording, other)


def test_another_structure_is_an_error_that_says_so(recording, network, model):
    less = replace(recording, traces=dict(list(recording.traces.items())[1:]))
    with pytest.raises(GoldenStaleError, match="of another structure"):
        compare_golden(less, network, model)


def test_history_keeps_one_entry_a_set_of_versions(recording, network, model, report, monkeypatch):
    again = record(network, model, report, command="", earlier=recording)
    assert len(again.history) == 1
    monkeypatch.setattr(golden, "versions", lambda: {"keras": "4.0"})
    later = record(network, model, report, command="", earlier=again)
    assert [entry["versions"].get("keras") for entry in later.history][-1] == "4.0"
    assert len(later.history) == 2


def test_half_precision_is_stored_exactly(network, tmp_path):
    model = porter.build(network, dtype="mixed_bfloat16")
    report = porter.verify(network, model, search=False, rows=20)
    recorded = record(network, model, report, command="")
    write_golden(tmp_path / "half.npz", recorded)
    compared = compare_golden(read_golden(tmp_path / "half.npz"), network, model)
    assert all(found.error == 0 for found in compared.values())


def _archive(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def _pickled(path):
    _archive(path, {"metadata.npy": _npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)})


def _declares_too_much(path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**11,)})
    _archive(path, {"metadata.npy": header.getvalue()})


def _of_another_schema(path):
    text = json.dumps({"schema_version": 99}).encode()
    _archive(path, {"metadata.npy": _npy(np.frombuffer(text, np.uint8))})


def _not_json(path):
    _archive(path, {"metadata.npy": _npy(np.frombuffer(b"{", np.uint8))})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: None,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 and no more"),
        lambda path: path.mkdir(),
        lambda path: _archive(path, {"a.txt": b"hello"}),
        lambda path: _archive(path, {}),
        _pickled,
        _declares_too_much,
        _of_another_schema,
        _not_json,
    ],
)
def test_what_is_no_golden_file_is_refused(tmp_path, spoil):
    path = tmp_path / "golden.npz"
    spoil(path)
    with pytest.raises(GoldenFormatError) as caught:
        read_golden(path)
    assert str(path) in str(caught.value)
    assert "--parity-record" in str(caught.value)


def test_a_golden_file_that_claims_too_much_is_refused_before_it_is_read(recording, tmp_path, monkeypatch):
    write_golden(tmp_path / "golden.npz", recording)
    monkeypatch.setattr(golden, "LARGEST", 1000)
    with pytest.raises(GoldenFormatError, match="more than 1,000 bytes"):
        read_golden(tmp_path / "golden.npz")
