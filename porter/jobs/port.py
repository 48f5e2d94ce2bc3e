"""The main job: read, build, verify, save, load again, verify again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from porter.errors import UsageError
from porter.examination.probes import draw_rows
from porter.formats import read
from porter.jobs.saving import check_output
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.report.report import Report

ROWS = 512


def port(
    legacy: Network | str | Path,
    output: str | Path,
    *,
    force: bool = False,
    placement: str = "inside",
    dtype: str = "float32",
    samples: Any = None,
    seed: int = 0,
    search: bool = True,
    gradients: bool = False,
    **read_options: Any,
) -> Report:
    """Port a legacy network into a Keras model file, and prove every link of the chain.

    Args:
        legacy: the legacy file, or what ``porter.read`` made of it.
        output: ``.keras``, or ``.h5`` for a whole model in HDF5.
        force: replace an existing output; write it also where the port does not match.
        placement: where the scaling goes: "inside", "folded" or "outside".
        dtype: one of ``porter.ports.keras.names.DTYPES``.
        samples: golden samples of the original software: a path (``.npz``, ``.csv``) or a pair (inputs, outputs).
        seed: of the probes.
        search: whether to search for a counterexample beyond the probes.
        gradients: whether the port's Jacobian is judged as well; see ``porter.verify``.
        **read_options: what a file does not say; see ``porter.read``.

    Returns:
        The report; on a mismatch the output was not written unless forced, and the link "save" says so.

    Raises:
        UsageError: options that cannot be meant.
        UnreadableError: the file is not what it should be.
        UnbuildableError: Keras' own layers cannot express the network as asked.
        OutputExistsError: the output exists and ``force`` is not given.
        PortError: the saved file cannot be loaded again.
    """
    output = Path(output)
    check_output(output, force=force)
    network = as_network(legacy, read_options)
    how = {"placement": placement, "dtype": dtype, "samples": samples, "seed": seed}
    return _port(network, output, force, how, search=search, gradients=gradients)


# In these TensorFlow is loaded, so that a file that cannot be read was refused at once.


@singledispatch
def _port(
    network: Network, output: Path, force: bool, how: Mapping[str, Any], *, search: bool, gradients: bool
) -> Report:
    from porter.jobs.job import Job, compare_models, save
    from porter.jobs.verify import verify
    from porter.ports.keras.build import build

    judged = {name: value for name, value in how.items() if name != "dtype"}
    model = build(network, placement=how["placement"], dtype=how["dtype"])

    def judge(candidate: Any) -> Report:
        return verify(network, candidate, search=search, gradients=gradients, **judged)

    options = {**how, "samples": _named(how["samples"]), "search": search}
    limits = None if how["placement"] == "outside" else network.input_range
    rows = draw_rows(limits, network.widths[0], ROWS, np.random.default_rng(how["seed"]))
    job = Job(
        network,
        model,
        options | dict(network.declarations),
        judge,
        lambda reloaded: compare_models(model, reloaded, [rows]),
        f"the outputs of {len(rows)} rows",
    )
    return save(job, judge(model), output, force=force)


@_port.register(KerasNetwork)
def _(
    network: KerasNetwork, output: Path, force: bool, how: Mapping[str, Any], *, search: bool, gradients: bool
) -> Report:
    from porter.jobs.gradients import OF_CHAINS, without_gradients
    from porter.jobs.graphs.port import port_legacy

    del search
    report = port_legacy(network, output, force=force, **how)
    return without_gradients(report, OF_CHAINS) if gradients else report


def as_network(legacy: Network | str | Path, read_options: Mapping[str, Any]) -> Network:
    """The network itself, or the one that is read from the path.

    Raises:
        UsageError: a network that is read already, and options on how to read it.
    """
    if not isinstance(legacy, Network):
        return read(legacy, **read_options)
    given = [name for name, value in read_options.items() if value not in (None, False)]
    if given:
        raise UsageError(
            "options on reading for a network that is read already",
            found=", ".join(given),
            expected="them where the file is read",
            remedy=f"porter.read(path, {', '.join(f'{name}=...' for name in given)})",
        )
    return legacy


def _named(samples: Any) -> str | None:
    """What the record says of them; folders are nobody's business who gets the port."""
    if samples is None:
        return None
    return Path(samples).name if isinstance(samples, str | Path) else "given as arrays"
