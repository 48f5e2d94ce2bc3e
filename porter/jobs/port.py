"""The main job: read, build, verify, save, load again, verify again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.examination.probes import draw_rows
from porter.formats import read
from porter.formats.samples import Samples, load_samples
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
    golden = load_samples(samples, network)
    # TensorFlow only now, so that a file that cannot be read is refused at once.
    from porter.jobs.job import Job, compare_models, save
    from porter.jobs.verify import verify
    from porter.ports.keras.build import build

    model = build(network, placement=placement, dtype=dtype)
    how: dict[str, Any] = {"samples": golden, "seed": seed, "search": search, "placement": placement}

    def judge(candidate: Any) -> Report:
        return verify(network, candidate, gradients=gradients, **how)

    options = {"placement": placement, "dtype": dtype, "samples": _named(samples), "seed": seed, "search": search}
    again = _again(network, model, options, golden)
    job = Job(
        network,
        model,
        {**again.options, **network.declarations},
        judge,
        lambda reloaded: compare_models(model, reloaded, again.feeds()),
        again.compared,
    )
    return save(job, judge(model), output, force=force)


@dataclass(frozen=True)
class _Again:
    """What a saved port is held against once it is loaded again.

    Attributes:
        feeds: draws (rows, ...) for each input.
        compared: what is looked at beside the weights.
        options: what the record says of how the port was made.
    """

    feeds: Callable[[], Sequence[NDArray[Any]]]
    compared: str
    options: Mapping[str, Any]


@singledispatch
def _again(network: Network, model: Any, options: Mapping[str, Any], golden: Samples | None) -> _Again:
    del model, golden
    limits = None if options["placement"] == "outside" else network.input_range
    rows = draw_rows(limits, network.widths[0], ROWS, np.random.default_rng(options["seed"]))
    return _Again(lambda: [rows], f"the outputs of {len(rows)} rows", options)


@_again.register(KerasNetwork)
def _(network: KerasNetwork, model: Any, options: Mapping[str, Any], golden: Samples | None) -> _Again:
    from porter.examination.graphs.feeds import draw_feeds
    from porter.ports.keras.graph import read_graph

    def feeds() -> Sequence[NDArray[Any]]:
        rng, like = np.random.default_rng(options["seed"] + 1), None if golden is None else golden.inputs
        return list(draw_feeds(network, read_graph(model), None, rng, like).values())

    recorded = {name: options[name] for name in ("dtype", "seed")}
    replaced = {"replaced": sorted(network.replacements)} if network.replacements else {}
    return _Again(feeds, "in the outputs", recorded | replaced)


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
