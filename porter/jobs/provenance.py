"""The record that a saved port carries: from which file, read how, verified with what result."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from porter.errors import UnreadableError
from porter.formats.archives import DAMAGED, names_of, read_member
from porter.formats.isolation import crash_error, screen
from porter.formats.opened import keras_version_of, open_file
from porter.network import Network
from porter.report.json import plain
from porter.report.report import Report
from porter.verdict.provenance import versions

MEMBER = "porter_provenance.json"
"""Member of a .keras file, and attribute of an .h5 file; Keras ignores it in both."""

SCHEMA_VERSION = 1
LARGEST = 16 * 2**20
"""Bytes; a record that claims to be larger was not written by this package."""

TOLD = ("legacy", "legacy_sha256", "port", "port_sha256", "versions", "placement", "seed", "declarations")
"""Of a report's provenance, what the record has in another place, and the paths."""

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def describe(network: Network, report: Report, options: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a port.

    Args:
        network: what was ported.
        report: the verification of the port.
        options: those that the port was made with.

    Returns:
        Plain data, ready for JSON.
    """
    record = {
        "schema_version": SCHEMA_VERSION,
        "source": {
            "name": network.source.path.name,
            "format": network.source.format,
            "sha256": network.source.sha256,
        },
        "verdict": report.verdict,
        "links": report.links,
        "link_notes": report.link_notes,
        "findings": [
            {"code": finding.code, "layer": finding.layer, "message": finding.message} for finding in report.findings
        ],
        "claims": report.claims,
        "options": {name: value for name, value in options.items() if value is not None},
        "verification": {name: value for name, value in report.provenance.items() if name not in TOLD},
        "versions": versions() | dict(report.provenance.get("versions", {})),
    }
    return cast("dict[str, Any]", plain(record))


def write_provenance(path: Path, record: Mapping[str, Any]) -> None:
    """Add the record to a saved ``.keras`` or ``.h5`` file that has none yet."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path, "a", compression=zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(MEMBER, text)
        return
    import h5py

    with h5py.File(path, "r+") as file:
        file.attrs[MEMBER] = text


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """The record in a saved model, without TensorFlow.

    Args:
        path: a ``.keras`` or whole-model ``.h5`` file.

    Returns:
        The record, or None where the file has none: not saved by porter, or saved again by Keras, which drops it.

    Raises:
        UnreadableError: neither kind of file, or a record that is not what porter writes.
    """
    path = Path(path)
    text = _stored_text(path)
    if text is None:
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"no JSON: {error}") from error
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        raise _broken(path, "another structure or schema version")
    return record


def is_saved_model(path: str | Path) -> bool:
    """Whether Keras 3 saved the file as a whole model: a ``.keras`` archive, or HDF5 with a model's config.

    Whole models of Keras 1 and 2 are legacy files, not ports.
    """
    path = Path(path)
    if not path.is_file():
        return False
    try:
        if zipfile.is_zipfile(path):
            version = keras_version_of(path)
            return not version.startswith("2.") if version is not None else "config.json" in names_of(path)
        return _starts_as_hdf5(path) and _keras_version_of_hdf5(path).startswith("3")
    except (*DAMAGED, UnreadableError):
        return False


def _keras_version_of_hdf5(path: Path) -> str:
    # By the reader of untrusted files: it looks at the structure first, where libhdf5 alone may loop for ever.
    with open_file(path) as opened:
        there = opened.hdf5.stored_attributes
        return str(opened.hdf5.attribute("keras_version")) if {"model_config", "keras_version"} <= set(there) else ""


def _stored_text(path: Path) -> str | bytes | None:
    if not path.is_file():
        raise UnreadableError(f"{path}", found="no such file", expected="a .keras or .h5 file", remedy="check the path")
    try:
        if zipfile.is_zipfile(path):
            return read_member(path, MEMBER, LARGEST) if MEMBER in names_of(path) else None
        if _starts_as_hdf5(path):
            return _from_hdf5(path)
    except DAMAGED as error:
        raise _broken(path, str(error)) from error
    raise UnreadableError(
        f"{path}",
        found="neither a ZIP archive nor HDF5",
        expected="a model saved by Keras, .keras or .h5",
        remedy="check that the file is complete",
    )


def _from_hdf5(path: Path) -> str | None:
    with open_file(path) as opened:
        if MEMBER not in opened.hdf5.stored_attributes:
            return None
    # The record is text of variable length, in whose heap libhdf5 can loop for ever: another process looks first.
    how = screen([path]).get(path)
    if how is not None:
        raise crash_error(path, how)
    with open_file(path) as opened:
        text = opened.hdf5.attribute(MEMBER)
    if text is not None and not isinstance(text, str):
        raise _broken(path, f"an attribute of type {type(text).__name__}")
    return text


def _starts_as_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE


def _broken(path: Path, found: str) -> UnreadableError:
    return UnreadableError(
        f"{path}: its provenance record",
        found=found,
        expected=f"the record that porter writes (schema version {SCHEMA_VERSION})",
        remedy="port the legacy file again, or inspect it with the version of porter that saved it",
    )
