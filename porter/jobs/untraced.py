"""A file whose runtime shows no layers, or shows those of a Keras model, judged as what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from porter.exports.registry import Format
from porter.formats.samples import Samples
from porter.jobs.function_port import verify_function
from porter.jobs.one_port import verify_port
from porter.network import Network
from porter.report.report import Report


def verify_untraced(
    network: Network, opened: Any, form: Format, *, golden: Samples | None = None, seed: int = 0, rows: int = 2000
) -> Report:
    """The report of a function of arrays, from end to end, or of a keras.Model, layer by layer.

    Args:
        network: the legacy network.
        opened: what the format's runtime made of the file.
        form: the format.
        golden: golden samples, or None.
        seed: of the inputs.
        rows: of them.
    """
    if hasattr(opened, "variables"):
        report = verify_port(network, opened, golden=golden, seed=seed, rows=rows)
    else:
        report = verify_function(network, opened, golden=golden, seed=seed, rows=rows)
    links = {**report.links, "build": "not checked", "export": report.links["build"]}
    told = f"{form.name}: {report.link_notes['build']}"
    notes = {**report.link_notes, "build": "no Keras model stands between the file and this port", "export": told}
    return replace(report, links=links, link_notes=notes)
