"""A damaged port on which the HDF5 library loops for ever is refused, and does not hold up who asks about it."""

from __future__ import annotations

import pytest

import porter
from porter.formats.isolation import CrashedError
from porter.jobs import provenance

pytestmark = pytest.mark.usefixtures("keras")


def test_another_process_looks_first(fixtures, tmp_path, monkeypatch):
    path = tmp_path / "port.h5"
    porter.port(fixtures / "bare_7-16-10-7.h5", path, search=False)
    assert porter.read_provenance(path)["schema_version"] == provenance.SCHEMA_VERSION
    monkeypatch.setattr(provenance, "screen", lambda files: dict.fromkeys(files, "did not come back"))
    with pytest.raises(CrashedError, match="did not come back"):
        porter.read_provenance(path)
