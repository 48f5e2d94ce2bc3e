"""The main job: read, build, verify, save, load again, verify again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, UsageError
from porter.formats import read
from porter.formats.keras_legacy.graph import KerasNetwork
from porter.network import Network
from porter.probes import draw_rows
from porter.progress import tell
from porter.provenance import describe, write_provenance
from porter.report.model import Report
from porter.saving import Discard, check_output, load_model, staged, write_model

Array = NDArray[Any]

ROWS = 512
ORDER = ("parity", "inconclusive", "mismatch")
"""Verdicts, best first."""


@dataclass(frozen=True)
class Job:
    """One port on its way.

    Attributes:
        network: what is ported.
        model: the keras.Model built from it.
        options: what the provenance record says about how.
        verify: verification of a model against the network.
        compare: what differs, bit by bit, in a model that was loaded again; a sentence each.
        compared: what that looks at beside the weights.
    """

    network: Network
    model: Any
    options: Mapping[str, Any]
    verify: Callable[[Any], Report]
    compare: Callable[[Any], list[str]]
    compared: str


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
    **read_options: Any,
) -> Report:
    """Port a legacy network into a Keras model file, and prove every link of the chain.

    Args:
        legacy: the legacy file, or what ``porter.read`` made of it.
        output: ``.keras``, or ``.h5`` for a whole model in HDF5.
        force: replace an existing output; write it also where the port does not match.
        placement: where the scaling goes: "inside", "folded" or "outside".
        dtype: one of ``porter.keras_model.DTYPES``.
        samples: golden samples of the original software: a path (``.npz``, ``.csv``) or a pair (inputs, outputs).
        seed: of the probes.
        search: whether to search for a counterexample beyond the probes.
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
    if isinstance(network, KerasNetwork):
        from porter.keras_legacy.port import port_legacy

        chosen = {"force": force, "dtype": dtype, "seed": seed, "placement": placement, "samples": samples}
        return port_legacy(network, output, **chosen)
    # TensorFlow only now, so that a file that cannot be read is refused at once.
    from porter.keras_model import build
    from porter.verify import verify

    model = build(network, placement=placement, dtype=dtype)

    def judge(candidate: Any) -> Report:
        return verify(network, candidate, samples=samples, seed=seed, search=search, placement=placement)

    options = {"placement": placement, "dtype": dtype, "samples": _named(samples), "seed": seed, "search": search}
    limits = None if placement == "outside" else network.input_range
    rows = draw_rows(limits, network.widths[0], ROWS, np.random.default_rng(seed))
    job = Job(
        network,
        model,
        options | dict(network.declarations),
        judge,
        lambda reloaded: compare_models(model, reloaded, rows),
        f"the outputs of {len(rows)} rows",
    )
    return save(job, judge(model), output, force=force)


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


def save(job: Job, report: Report, output: Path, *, force: bool) -> Report:
    """Write a port that was judged, load it again, and judge what changed.

    Returns:
        The report with the link "save" and where the port is; on a mismatch nothing is written unless forced.

    Raises:
        PorterError: a file that cannot be written, or loaded again.
    """
    if report.verdict == "mismatch" and not force:
        return _unsaved(report)
    with staged(output, force=force) as draft:
        tell("saving")
        write_model(job.model, draft)
        tell("loading the saved file and comparing")
        report = _with_save_link(job, report, _load(draft))
        if report.verdict == "mismatch" and not force:
            report = _unsaved(report)
            raise Discard
        write_provenance(draft, describe(job.network, report, job.options))
        place = {"port": str(output), "port_sha256": hashlib.sha256(draft.read_bytes()).hexdigest()}
        report = replace(report, provenance={**report.provenance, **place})
    return report


def _unsaved(report: Report) -> Report:
    save = report.links.get("save", "not checked")
    note = "nothing was written, because the port does not match; --force (force=True) writes it all the same"
    told = f"{report.link_notes['save']}; {note}" if save == "mismatch" else note
    return replace(report, links={**report.links, "save": save}, link_notes={**report.link_notes, "save": told})


def _load(draft: Path) -> Any:
    try:
        return load_model(draft)
    except Exception as error:
        raise PortError(
            "the saved port cannot be loaded again",
            found=f"{type(error).__name__}: {error}",
            expected=f"a {draft.suffix} file that Keras loads",
            remedy="nothing was written; try the other format (.keras or .h5)",
        ) from error


def _with_save_link(job: Job, report: Report, reloaded: Any) -> Report:
    """The report with the verdict on the link "save": the same bits, or a second verification that explains."""
    differences = job.compare(reloaded)
    if not differences:
        weights = sum(int(np.prod(weight.shape)) for weight in job.model.weights)
        return _linked(report, "parity", f"loaded again: the same bits in {weights:,} weights and {job.compared}")
    tell("verifying the saved file")
    again = job.verify(reloaded)
    worse = max(report, again, key=lambda one: ORDER.index(one.verdict))
    return _linked(worse, again.verdict, f"loaded again and verified again, because {'; '.join(differences)}")


def _linked(report: Report, verdict: str, note: str) -> Report:
    return replace(
        report,
        links={**report.links, "save": verdict},
        link_notes={**report.link_notes, "save": note},
    )


def compare_models(expected: Any, actual: Any, rows: Array) -> list[str]:
    """What differs, bit by bit, between two models of the same structure; empty where nothing does.

    Args:
        expected: keras.Model as it was built.
        actual: keras.Model as it was loaded.
        rows: (rows, inputs) on which the outputs are compared.

    Returns:
        One sentence a difference: weights first, then outputs.
    """
    names = [weight.path for weight in expected.weights], [weight.path for weight in actual.weights]
    if names[0] != names[1]:
        return [f"its weights are {', '.join(names[1])} where {', '.join(names[0])} were saved"]
    changed = [
        mine.path
        for mine, theirs in zip(expected.weights, actual.weights, strict=True)
        if not same_bits(_numpy(mine), _numpy(theirs))
    ]
    outputs = _numpy(expected(rows)), _numpy(actual(rows))
    told = [f"the weights of {', '.join(changed)} differ"] if changed else []
    return told if same_bits(*outputs) else [*told, _largest_difference(*outputs)]


def same_bits(expected: Array, actual: Array) -> bool:
    """Whether two arrays agree in dtype, shape and every bit, NaN included."""
    alike = expected.dtype == actual.dtype and expected.shape == actual.shape
    return alike and expected.tobytes() == actual.tobytes()


def _largest_difference(expected: Array, actual: Array) -> str:
    if expected.dtype != actual.dtype:
        return f"it computes in {actual.dtype} where {expected.dtype} was saved"
    if expected.shape != actual.shape:
        return f"its outputs are {actual.shape} where {expected.shape} were saved"
    with np.errstate(all="ignore"):
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    return f"its outputs differ by up to {np.nanmax(difference, initial=0.0):.2e}"


def _numpy(tensor: Any) -> Array:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor))
