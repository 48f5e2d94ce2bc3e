"""Every mistake of a port: each mismatched step explained by itself, then what several have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porter.codes import Cause
from porter.diagnosis.diagnose import Named, same_once, whole_port
from porter.diagnosis.graphs.explain import FileLayer, explain_step
from porter.diagnosis.graphs.graph import has_kernel
from porter.diagnosis.layers import Diagnosis, share_out
from reference.operations.part import Part


def diagnose_legacy(judged: Sequence[Any]) -> list[Named]:
    """Every mistake, in the order of the steps.

    Args:
        judged: every step with what was seen of it; each has ``step``, ``verdict``, ``comparison`` and ``suspect``.
    """
    wrong = [one for one in judged if one.verdict == "mismatch" and one.suspect is not None]
    names = {one.step.name for one in wrong}
    diagnoses: dict[str, Diagnosis] = {}
    for one in wrong:
        if not (isinstance(one.step, Part) and one.step.step.name in names):
            diagnoses[one.step.name] = explain_step(one.suspect, one.comparison)
    every = [FileLayer(one.step.name) for one in judged]
    diagnoses = share_out(diagnoses, every)
    named = [
        Named(cause, one, diagnoses[one.step.name])
        for one in wrong
        for cause in (diagnoses[one.step.name].causes if one.step.name in diagnoses else ())
    ]
    if not named and any(one.whole_differs for one in judged):
        named = [Named(_unaccounted(judged[-1].step.name, judged[-1].whole_differs), judged[-1])]
    kernels = {one.step.name.split("@")[0] for one in judged if has_kernel(one.step)}
    return whole_port(_once_a_layer(same_once(named)), len(kernels))


def _unaccounted(layer: str, code: str) -> Cause:
    if code == "call.unsteady":
        message = "the port gives other numbers for the same rows when it is called again"
        return Cause(code, layer, message, "take out what is random or keeps a state between calls")
    if code == "call.overridden":
        message = "the model called as a whole gives other numbers than its layers one by one, which are right"
        return Cause(code, layer, message, "call the functional model itself, without a call or __call__ of its own")
    message = "the port as a whole gives something else, although every layer is right by itself"
    remedy = "look for an operation between the layers"
    return Cause(code, layer, message, remedy)


def _once_a_layer(named: Sequence[Named]) -> list[Named]:
    """One finding for arrays that several calls of a layer share."""
    kept: dict[tuple[str, str, str], Named] = {}
    for one in named:
        kept.setdefault((one.cause.code, one.cause.layer.split("@")[0], one.cause.message), one)
    return list(kept.values())
