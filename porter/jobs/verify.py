"""Legacy network against port: the reference's own formula beside the port, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porter.errors import UsageError
from porter.formats.samples import load_samples
from porter.jobs.escape import no_escape
from porter.jobs.one_port import opened_port, verify_port
from porter.jobs.witnesses import call_witnesses, with_witnesses
from porter.network import Network
from porter.network.placement import PLACEMENTS
from porter.ports.keras.loading import Loading
from porter.report.report import Report


def verify(
    legacy: Network | str | Path,
    port: Any,
    *,
    samples: Any = None,
    seed: int = 0,
    search: bool = True,
    placement: str | None = None,
    rows: int = 2000,
    apply: str | Path | None = None,
    compile: bool = False,
    custom_objects: Any = None,
    unsafe_lambda: bool = False,
    architecture: str | Path | None = None,
    gradients: bool = False,
    runtimes: str | Sequence[str] = (),
    **options: Any,
) -> Report:
    """Judge a port of a legacy network, layer by layer.

    Args:
        legacy: the network, or the path of its file.
        port: a keras.Model, or the path of a saved one; never changed. Or the path of another format that something
            here runs (``porter.export`` lists them). Or a function of (rows, ...) arrays, one for each input, that
            gives the outputs: it shows no layers, and is judged from end to end.
        samples: golden samples of the original software: a path (.npz, .csv) or a pair (inputs, outputs).
        seed: of the probes and the search.
        search: whether Hypothesis searches the inputs for a larger error; a legacy Keras network is never searched,
            and its link note says so.
        placement: where the port has the scaling: "inside", "folded", "outside"; None to find out.
        rows: how many random rows inside the documented range; of a legacy Keras network, whose layers are wider, as
            many as keep within bounds.
        apply: where to save a mended copy of the port, if it has mistakes and every remedy together restores parity;
            they are run on a copy of the port; where that does not restore it, porter builds the whole port anew.
        custom_objects: the classes and functions of a saved Keras model's own: a module, its name or its file, which is
            imported and run, or a mapping of names.
        unsafe_lambda: whether the Python in the Lambda layers of a saved Keras model may be run.
        architecture: the model (.json, .keras, .h5) that a port of weights alone belongs to.
        runtimes: other runtimes that the same port is written for, run by and judged in, each a second witness:
            "onnxruntime", "onnx-reference", "litert", "tensorflow", "c", "fortran", "numpy". The verdict is then the
            worst of theirs and of the port's own; ``Report.witnesses`` has them all. An ONNX file is run as it is.
        compile: whether a port that is a program may be compiled where it has to be, and run: its code runs here.
        gradients: whether the port's Jacobian is compared with that of the legacy program as well, and judged with it.
        **options: ``read``'s options, where ``legacy`` is a path.

    Returns:
        The report; it never raises for a mismatch.

    Raises:
        UnbuildableError: the mended port asked for cannot be made, or the remedies do not restore parity.
        PorterError: a file that cannot be read, a port that cannot be evaluated, options that cannot be meant.
    """
    network = _network(legacy, options)
    if placement is not None and placement not in PLACEMENTS:
        raise UsageError("placement", found=repr(placement), expected=f"one of {', '.join(PLACEMENTS)}")
    if rows < 1:
        raise UsageError("rows", found=str(rows), expected="at least 1", remedy="leave rows out for the usual 2000")
    loading = Loading(custom_objects, unsafe_lambda, architecture)
    if not isinstance(port, str | Path) and not loading.is_plain:
        raise UsageError(
            "custom_objects=, unsafe_lambda= or architecture=", found="a port that is loaded already",
            expected="the path of a saved Keras model", remedy="leave them out",
        )  # fmt: skip
    source = port if isinstance(port, str | Path) else None
    golden = load_samples(samples, network)
    model = opened_port(network, port, placement, trusted=compile, loading=loading)
    calls = call_witnesses(network, model, source, [runtimes] if isinstance(runtimes, str) else runtimes)
    report = verify_port(
        network, model, source=source, golden=golden, seed=seed, search=search, placement=placement, rows=rows,
        apply=apply, gradients=gradients,
    )  # fmt: skip
    with no_escape():
        return with_witnesses(report, network, calls, golden=golden, seed=seed, rows=rows)


def _network(legacy: Network | str | Path, options: Mapping[str, Any]) -> Network:
    from porter.formats import read

    if not isinstance(legacy, Network):
        return read(legacy, **options)
    if options:
        raise UsageError(
            f"verify({', '.join(options)})",
            found="options for reading beside a network that was read already",
            expected="the path of the file",
            remedy="give them to porter.read",
        )
    return legacy
