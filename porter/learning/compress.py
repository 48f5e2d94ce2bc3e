"""The smallest network that stays within a budget of error, and everything that was tried."""

from __future__ import annotations

import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError, first_line
from porter.examination.probes import draw_rows
from porter.examination.rewriting.reduced import describe
from porter.examination.rewriting.reduction import Reduction, reduce_chain
from porter.learning import shrinking
from porter.learning.chain import PASSING, Chain, read_chain, rebuild
from porter.learning.compression_report import CompressionReport, Trial
from porter.learning.data import Chosen, load_data
from porter.learning.errors import CompressionError
from porter.learning.shrinking import Lesson
from porter.learning.start import Start, check_ends, open_start
from porter.learning.units import convert
from porter.network import Dense
from porter.ports.keras.graph import read_graph
from porter.progress import tell

Array = NDArray[Any]

METHODS = ("units", "prune", "weights", "distill", "float16", "int8")
SHARES = {"prune": (0.1, 0.25, 0.5), "weights": (0.5, 0.75), "distill": (0.5, 0.25)}
"""What is taken away by each method; of a student, what is left of the units."""
NARROWER: dict[str, Callable[[Any], Any]] = {"float16": shrinking.in_float16, "int8": shrinking.in_int8}
"""Ways to fewer bits, for any model."""
ROWS, LESSON_ROWS, SPEED_ROWS = 2000, 4000, 4096


@dataclass
class Compressed:
    """What came of a compression.

    Attributes:
        model: the smallest keras.Model within the budget; None where there is none.
        report: everything that was tried.
    """

    model: Any
    report: CompressionReport


@dataclass(frozen=True)
class _Job:
    start: Start
    chain: Chain | None
    inputs: Array
    expected: Array
    spans: Array
    lesson: Lesson
    budget: float


def compress(
    model: Any,
    *,
    budget: float,
    method: str | Sequence[str] | None = None,
    output: str | Path | None = None,
    force: bool = False,
    samples: Any = None,
    inputs: Chosen = None,
    targets: Chosen = None,
    units: str = "model",
    legacy: Any = None,
    placement: str | None = None,
    epochs: int = 20,
    seed: int = 0,
    rows: int = ROWS,
    **reading: Any,
) -> Compressed:
    """Make a network smaller, as far as a budget of error allows.

    What changes nothing goes first: units and linear layers that follow from the others, for all inputs. Then each of
    the methods is tried, and half precision and eight bits on the smallest that fits.

    Args:
        model: a keras.Model, left as it is; the path of a saved one; or a legacy file or network.
        budget: the largest error allowed, as a share of each output's range (0.005 for 0.5 %).
        method: one or several of ``METHODS``; None for all.
        output: where the smallest that fits is saved.
        force: replace an existing output.
        samples: further inputs, as ``finetune`` takes its data; their targets are not looked at.
        inputs: names or positions of their input columns.
        targets: names or positions of their target columns.
        units: of the samples.
        legacy: the legacy network, where ``model`` is a port, for its documented range.
        placement: where the port has the scaling.
        epochs: of training after units or weights were taken out; a student gets four times as many.
        seed: of the inputs and of training.
        rows: how many inputs are drawn.
        **reading: options of ``porter.read``.

    Returns:
        The model and the report.

    Raises:
        UsageError: a budget or a method that cannot be meant.
        CompressionError: a model that the method cannot take.
    """
    methods = _methods(method)
    if not 0 <= budget < 1:
        raise UsageError("budget", found=f"{budget:g}", expected="a share of the outputs' range, from 0 to below 1")
    if output is not None:
        from porter.jobs.saving import check_output

        check_output(output, force=force)
    start = open_start(model, legacy=legacy, placement=placement, **reading)
    check_ends(start.model)
    known = None
    if samples is not None:
        widths = tuple(int(np.prod(end[0].shape[1:])) for end in (start.model.inputs, start.model.outputs))
        data = load_data(samples, (widths[0], widths[1]), inputs=inputs, targets=targets)
        known = convert(data, units, start.ends).inputs
    is_legacy = start.network is not None and legacy is None
    job = _job(start, known, budget, epochs, seed, rows, is_legacy)
    return _run(job, methods, output, force=force, is_legacy=is_legacy, seed=seed)


def _methods(method: str | Sequence[str] | None) -> tuple[str, ...]:
    chosen = METHODS if method is None else (method,) if isinstance(method, str) else tuple(method)
    chosen = tuple(part for one in chosen for part in one.replace("|", ",").split(","))
    odd = [one for one in chosen if one not in METHODS]
    if odd or not chosen:
        raise UsageError("method", found=", ".join(odd) or "none", expected=f"some of {', '.join(METHODS)}")
    return chosen


def _job(start: Start, known: Array | None, budget: float, epochs: int, seed: int, rows: int, is_legacy: bool) -> _Job:
    tensor = start.model.inputs[0]
    try:
        chain = read_chain(start.model)
    except CompressionError:
        chain = None
    evaluated, learned = (
        _inputs(start, known, count, np.random.default_rng([seed, part]), str(tensor.dtype))
        for part, count in enumerate((rows, max(rows, LESSON_ROWS)))
    )
    outputs = _call(start.model, learned)
    expected = _reference(start, evaluated) if is_legacy else _call(start.model, evaluated)
    limits = start.limits[1]
    flat = expected.reshape(len(expected), -1)
    spans = np.ptp(flat, axis=0) if limits is None or len(limits) != flat.shape[1] else limits[:, 1] - limits[:, 0]
    spans = np.where(spans > 0, spans, 1.0)
    return _Job(start, chain, evaluated, flat, spans, Lesson(learned, outputs, spans, epochs, seed), budget)


def _inputs(start: Start, known: Array | None, rows: int, rng: np.random.Generator, dtype: str) -> Array:
    """Inputs of the documented range, its ends and corners, and the samples."""
    shape = tuple(8 if n is None else int(n) for n in start.model.inputs[0].shape[1:])
    if len(shape) == 1:
        limits = start.limits[0]
        if limits is None and known is not None:
            limits = np.stack([known.min(axis=0), known.max(axis=0)], axis=1)
        drawn = draw_rows(limits, shape[0], rows, rng)
        if limits is not None:
            drawn = drawn[((drawn >= limits[:, 0]) & (drawn <= limits[:, 1])).all(axis=1)]
    else:
        drawn = rng.standard_normal((min(rows, 256), *shape))
    drawn = drawn if known is None else np.concatenate([drawn, known])
    return np.asarray(drawn.astype(dtype))


def _reference(start: Start, rows: Array) -> Array:
    """What the original formula gives; of a network whose program takes other units, what the port gives."""
    from porter.formats.programs import build_program

    network = start.network
    assert network is not None
    if start.ends.stage not in ("network", "physical") or network.family == "keras-legacy":
        return _call(start.model, rows)
    return np.asarray(build_program(network)(rows.astype(np.float64))[0], np.float64)


def _call(model: Any, rows: Array) -> Array:
    graph = read_graph(model)
    parts = [graph(rows[k : k + 1024])[0] for k in range(0, len(rows), 1024)]
    return np.concatenate(parts).astype(np.float64)


def _run(
    job: _Job, methods: Sequence[str], output: str | Path | None, *, force: bool, is_legacy: bool, seed: int
) -> Compressed:
    whole = job.start.model
    trials, models = [_measure(job, "as it is", whole)], {"as it is": whole}
    reduction = _reduce(job)
    failed: list[str] = []
    for name, made in _candidates(job, methods, reduction):
        _try(job, name, made, trials, models, failed)
    for name in (name for name in NARROWER if name in methods):
        best = _smallest(trials)
        if best is not None:
            make = partial(NARROWER[name], models[best.method])
            _try(job, f"{best.method} + {name}", make, trials, models, failed)
    smaller = [trial for trial in trials[1:] if trial.fits and trial.size < trials[0].size]
    best = min(smaller, key=lambda trial: trial.size, default=None)
    report = _report(job, trials, best, reduction, seed)
    report = replace(report, notes=(*report.notes, *failed))
    chosen = None if best is None else models[best.method]
    if best is not None and best.method == "units":
        report = _proven(job, report, chosen, is_legacy)
    if output is not None and chosen is not None:
        _save(job, chosen, report, Path(output), force=force)
    return Compressed(chosen, report)


def _reduce(job: _Job) -> list[Reduction]:
    """What each run of dense layers can do without, for all inputs."""
    if job.chain is None:
        return []
    return [reduce_chain([job.chain.dense(name) for name in run]) for run in job.chain.runs]


def _arrays(chain: Chain, reductions: Sequence[Reduction]) -> dict[str, Dense | None]:
    """What stands in the place of each dense layer; None where it was merged into the next."""
    arrays: dict[str, Dense | None] = {}
    for run, reduction in zip(chain.runs, reductions, strict=True):
        left = {layer.name: layer for layer in reduction.layers}
        arrays |= {name: left.get(name) for name in run}
    return arrays


Candidates = Iterator[tuple[str, Callable[[], Any]]]


def _candidates(job: _Job, methods: Sequence[str], reductions: Sequence[Reduction]) -> Candidates:
    """Name of each smaller network and how it is made, in the order in which they are tried."""
    whole, lesson = job.start.model, job.lesson
    if job.chain is not None:
        yield from _narrower(job.chain, methods, reductions, lesson, job.start.limits[0])
    elif len(methods) < len(METHODS) and {"units", "prune", "distill"} & set(methods):
        read_chain(whole)  # says why not
    if "weights" in methods:
        for share in SHARES["weights"]:
            yield f"weights {share:.0%}", partial(shrinking.thinned, whole, share, lesson)
    for name, make in NARROWER.items():
        if name in methods:
            yield name, partial(make, whole)


def _inside(chain: Chain, limits: Array | None) -> list[Reduction]:
    """What the first run can do without for all inputs of the documented range; the others, for all inputs."""
    if limits is None or not chain.runs:
        return []
    before = chain.layers[: [layer.name for layer in chain.layers].index(chain.runs[0][0])]
    if any(type(layer).__name__ not in ("Rescaling", *PASSING) for layer in before):
        return []
    ends = limits.astype(np.float64)
    for layer in before:
        if type(layer).__name__ == "Rescaling":
            scale, offset = (np.asarray(part, np.float64)[..., None] for part in (layer.scale, layer.offset))
            # Rounded to float32 on the way, so that the ends are a little apart.
            ends = np.sort(scale * ends + offset, axis=1)
            ends = ends + 4 * 2.0**-24 * (np.abs(ends) + np.abs(offset)) * np.array([-1, 1])
    found = []
    for place, run in enumerate(chain.runs):
        layers = [chain.dense(name) for name in run]
        found.append(reduce_chain(layers, limits=ends if place == 0 else None))
    return found


def _narrower(
    chain: Chain, methods: Sequence[str], reductions: Sequence[Reduction], lesson: Lesson, limits: Array | None
) -> Candidates:
    """Networks of fewer units."""
    base = chain
    if any(reduction.removals for reduction in reductions):
        small = rebuild(chain, _arrays(chain, reductions))
        base = read_chain(small)
        if "units" in methods:
            yield "units", lambda: small
    inside = _inside(base, limits) if "units" in methods else []
    if any(reduction.removals for reduction in inside):
        yield "units, in the range", lambda: rebuild(base, _arrays(base, inside))
    has_hidden = any(len(run) > 1 for run in base.runs)
    for method, make, label in (("prune", _pruned, "prune"), ("distill", shrinking.distilled, "distill to")):
        if method in methods and has_hidden:
            for share in SHARES[method]:
                yield f"{label} {share:.0%}", partial(make, base, share, lesson)


def _pruned(chain: Chain, share: float, lesson: Lesson) -> Any:
    """Fitted by least squares; trained on where that comes nearer."""
    fitted = rebuild(chain, shrinking.pruned(chain, share, lesson))
    before = fitted.get_weights()
    apart = [float(np.abs(_call(fitted, lesson.inputs) - lesson.outputs).reshape(-1, len(lesson.spans)).max())]
    shrinking.teach(fitted, lesson)
    apart.append(float(np.abs(_call(fitted, lesson.inputs) - lesson.outputs).reshape(-1, len(lesson.spans)).max()))
    if not apart[1] < apart[0]:
        fitted.set_weights(before)
    return fitted


def _try(
    job: _Job, name: str, make: Callable[[], Any], trials: list[Trial], models: dict[str, Any], failed: list[str]
) -> None:
    """Make a smaller network and measure it; one that Keras cannot make or run of this model is noted."""
    tell(f"trying {name}")
    try:
        small = make()
        trial = _measure(job, name, small)
    except Exception as error:  # of Keras and its backend, which have no class in common
        failed.append(f"{name} was not possible: {first_line(error)}")
        return
    trials.append(trial)
    models[name] = small


def _smallest(trials: Sequence[Trial]) -> Trial | None:
    """The smallest that fits, of those of fewer numbers."""
    fitting = [trial for trial in trials[1:] if trial.fits and trial.method.split()[0] not in NARROWER]
    return min((trial for trial in fitting if " + " not in trial.method), key=lambda trial: trial.size, default=None)


def _measure(job: _Job, name: str, model: Any) -> Trial:
    actual = _call(model, job.inputs).reshape(len(job.inputs), -1)
    with np.errstate(all="ignore"):
        errors = np.abs(actual - job.expected) / job.spans
    # NaN on both sides is a flag that both raise.
    errors = np.where(np.isnan(actual) & np.isnan(job.expected), 0.0, np.nan_to_num(errors, nan=np.inf))
    worst = float(errors.max())
    numbers = sum(int(np.count_nonzero(np.asarray(weight))) for weight in model.weights)
    most = float(np.quantile(errors, 0.999))
    return Trial(name, numbers, packed_size(model), worst, most, _speed(model, job.inputs), worst <= job.budget)


def packed_size(model: Any) -> int:
    """Bytes of the saved model, packed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        write_packed(model, path)
        return path.stat().st_size


def write_packed(model: Any, path: Path) -> None:
    """Save a model as Keras does, and pack what it lays into the archive as it is; Keras reads either."""
    from porter.jobs.saving import write_model

    bare = path.with_name(f"bare_{path.name}")
    write_model(_without_optimizer(model), bare)
    if bare.suffix != ".keras":
        bare.replace(path)
        return
    with zipfile.ZipFile(bare) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    bare.unlink()


def _without_optimizer(model: Any) -> Any:
    """The model itself, or a copy that was never compiled: what an optimizer keeps is no part of a small network."""
    if getattr(model, "optimizer", None) is None:
        return model
    copy = type(model).from_config(model.get_config())  # keras.models.clone_model would compile it again
    copy.set_weights(model.get_weights())
    return copy


def _speed(model: Any, inputs: Array) -> float:
    """Rows a second, the best of three."""
    rows = np.resize(inputs, (SPEED_ROWS if inputs.ndim == 2 else 64, *inputs.shape[1:]))
    graph = read_graph(model)
    graph(rows)
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        graph(rows)
        best = min(best, time.perf_counter() - began)
    return len(rows) / best


def _report(
    job: _Job, trials: list[Trial], best: Trial | None, reductions: Sequence[Reduction], seed: int
) -> CompressionReport:
    from porter.verdict.provenance import versions

    removed = tuple(sentence for reduction in reductions for sentence in describe(reduction))
    notes = [f"errors: on {len(job.inputs):,} inputs that nothing was trained on, of the documented range, its ends, "
             "corners and axes, and the samples"]  # fmt: skip
    if job.start.limits[0] is None:
        notes.append("no range of the inputs is documented: the inputs are those of the samples, or standard normal")
    if job.chain is None:
        notes.append("its layers branch or join: units were neither taken out nor taught to a student")
    elif all(len(run) < 2 for run in job.chain.runs):
        notes.append("no dense layer follows another: there are no hidden units to take out")
    elif not removed:
        notes.append("no unit and no layer changes nothing: each has its part")
    return CompressionReport(
        verdict="mismatch" if best is None else "drift", links={}, link_notes={}, layers=(), claims=(),
        notes=tuple(notes), provenance={"model": job.start.name, "seed": seed, "versions": versions()},
        trials=tuple(trials), chosen=None if best is None else best.method, budget=job.budget, removed=removed,
        title=job.start.name,
    )  # fmt: skip


def _proven(job: _Job, report: CompressionReport, small: Any, is_legacy: bool) -> CompressionReport:
    """Parity where the smaller network is proven to compute what the legacy formula does, layer by layer."""
    if not is_legacy:
        note = "what was left out follows from the arrays of the model; no legacy file was given to verify against"
        return replace(report, notes=(note, *report.notes))
    from porter.jobs.verify import verify

    judged = verify(job.start.network, small, search=False)  # type: ignore[arg-type]
    if judged.verdict != "parity":
        note = f"porter verify says {judged.verdict} of the network without them"
        return replace(report, notes=(note, *report.notes))
    note = f"porter verify: parity with the legacy file, layer by layer; {judged.link_notes['build']}"
    return replace(report, verdict="parity", layers=judged.layers, claims=judged.claims, notes=(note, *report.notes))


def _save(job: _Job, model: Any, report: CompressionReport, path: Path, *, force: bool) -> None:
    from porter.jobs.provenance import SCHEMA_VERSION, write_provenance
    from porter.jobs.saving import staged
    from porter.report.json import plain
    from porter.verdict.provenance import versions

    start, network = job.start, job.start.network
    source = start.record.get("source", {"name": start.name})
    if network is not None:
        source = {"name": network.source.path.name, "format": network.source.format, "sha256": network.source.sha256}
    best = next(trial for trial in report.trials if trial.method == report.chosen)
    record = {
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "verdict": report.verdict,
        "claims": start.record.get("claims", []) if network is None else network.claims,
        "options": start.record.get("options", {}),
        "compression": {"method": best.method, "budget": report.budget, "worst": best.worst, "most": best.most},
        "versions": versions(),
    }
    with staged(path, force=force) as draft:
        write_packed(model, draft)
        write_provenance(draft, plain(record))
