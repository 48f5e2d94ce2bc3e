"""What came of a training: the result, the report, and the files."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

from porter.learning.preparing import Training, Tuned
from porter.learning.run_folder import RunFolder
from porter.learning.start import Start
from porter.report.model import Finding


def make_result(
    training: Training, history: Any, parts: list[Any], frozen: tuple[str, ...], astray: tuple[str, ...]
) -> Tuned:
    """The result of a training, its report still to come."""
    stopping = next((one for one in parts if type(one).__name__ == "EarlyStopping"), None)
    epochs = list(history.epoch)
    stopped = None if stopping is None or not stopping.stopped_epoch else int(stopping.stopped_epoch)
    best = epochs[-1] if stopping is None else int(stopping.best_epoch)
    folder = training.folder
    return Tuned(
        training.start.model, dict(history.history), epochs, best, stopped, frozen, astray, training.problems,
        training.data, training.split, None, None if folder is None else folder.path,
    )  # fmt: skip


def make_report(training: Training, initial: Any, tuned: Tuned) -> Any:
    """How far the model has moved from where it started, on the rows that nothing was decided with."""
    from porter.learning.drift import compare_models

    if initial is None:
        return None
    held_out = len(tuned.split.test) > 0
    rows = tuned.split.test if held_out else tuned.split.validation
    data = replace(training.data.rows(rows), source=training.data.source) if len(rows) else None
    history = {"values": tuned.history, "epochs": tuned.epoch, "best_epoch": tuned.best_epoch}
    before = replace(training.start, model=initial)
    after = replace(training.start, name=f"{training.start.name}, tuned")
    report = compare_models(before, after, data, frozen=tuned.frozen, seed=training.plan.seed, history=history)
    if tuned.moved and report.verdict != "mismatch":  # a layer that the comparison could not pair
        report = replace(report, verdict="mismatch", findings=tuple(map(_astray, tuned.moved)))
    return replace(report, notes=(*_notes(training, tuned, held_out), *report.notes), provenance={
        **report.provenance, "training": _record(training, tuned)})  # fmt: skip


def _astray(name: str) -> Finding:
    return Finding(
        "frozen.moved", name, (name,), f"{name}: it was meant to stay, and its arrays are not those before training",
        "some bits of the layer's arrays differ before and after training",
        "look for what writes to it: a callback, or the layer's own call",
    )  # fmt: skip


def _notes(training: Training, tuned: Tuned, held_out: bool) -> tuple[str, ...]:
    sizes = ", ".join(f"{len(rows):,} {name}" for name, rows in tuned.split.parts().items())
    ended = f"stopped early after {tuned.stopped_epoch + 1}" if tuned.stopped_epoch is not None else "all were run"
    kept = "the best weights were restored" if training.plan.patience else "the last weights were kept"
    chosen = "; without test rows the errors are of rows that chose the epoch"
    return (
        f"rows: {sizes}" + (chosen if not held_out and len(tuned.split.validation) else ""),
        f"epochs: {ended if tuned.stopped_epoch is not None else f'{len(tuned.epoch)}, {ended}'}; the best is number "
        f"{tuned.best_epoch + 1}, and {kept}",
        *tuned.problems,
        *_undrawn(training),
    )


def _undrawn(training: Training) -> tuple[str, ...]:
    if training.folder is None or importlib.util.find_spec("matplotlib") is not None:
        return ()
    return ("history.svg was not drawn: matplotlib is not installed (pip install 'keras-porter[pictures]')",)


def _record(training: Training, tuned: Tuned) -> dict[str, Any]:
    plan = {name: value for name, value in training.plan.as_dict().items() if value is not None}
    return {
        "plan": plan,
        "frozen": list(tuned.frozen),
        "epochs": len(tuned.epoch),
        "best_epoch": tuned.best_epoch,
        "data": {"source": Path(training.data.source).name, "sha256": training.data.sha256, "rows": len(training.data)},
    }


def write_results(training: Training, tuned: Tuned, output: Path | None, *, force: bool) -> None:
    """The tuned model with its record; into the run folder the plot and the report as well."""
    from porter.learning.drift_page import write_history_plot

    folder = training.folder
    target = output if output is not None else None if folder is None else folder.tuned
    if target is not None:
        save_tuned(training, tuned, target, force=force or output is None)
    if folder is None:
        return
    write_history_plot(folder.plot, tuned.history, tuned.best_epoch)
    if tuned.report is not None:
        write_report(folder, tuned)


def write_report(folder: RunFolder, tuned: Tuned) -> None:
    """The report into a run folder, as text, as JSON and as a page."""
    from porter.report.html import write_text

    write_text(folder.report("txt"), str(tuned.report))
    write_text(folder.report("json"), tuned.report.to_json())
    tuned.report.to_html(folder.report("html"))


def save_tuned(training: Training, tuned: Tuned, path: Path, *, force: bool) -> None:
    """Save the model with a record that says from where it came and how it was trained; it claims no parity."""
    from porter.jobs.provenance import SCHEMA_VERSION, write_provenance
    from porter.jobs.saving import staged, write_model
    from porter.report.json import plain
    from porter.verdict.provenance import versions

    start, network = training.start, training.start.network
    source = start.record.get("source", {"name": start.name})
    if network is not None:
        source = {"name": network.source.path.name, "format": network.source.format, "sha256": network.source.sha256}
    record = {
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "verdict": "mismatch" if tuned.moved else "drift",
        "claims": start.record.get("claims", []) if network is None else network.claims,
        "options": {**start.record.get("options", {}), **_placement(start)},
        "learning": _record(training, tuned),
        "versions": versions(),
    }
    with staged(path, force=force) as draft:
        write_model(tuned.model, draft)
        write_provenance(draft, plain(record))


def _placement(start: Start) -> dict[str, str]:
    named = {layer.name for layer in start.model.layers} & {"Norm_in", "Norm_out", "Transform_in", "Transform_out"}
    return {"placement": "inside"} if named else {}
