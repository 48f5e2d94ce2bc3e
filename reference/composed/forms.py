"""Other ways to write the same function, exact on paper and less so in floating point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from reference.activations import Activation
from reference.operations.global_pooling import GlobalPooling
from reference.rounding.constants import WRITTEN_OUT


def equivalent_forms(step: Any) -> Iterator[Any]:
    """The other ways in which a port may have written a step, the closest first: its activations, and its sums.

    Args:
        step: of any kind; the activations of the steps inside it are written so as well.
    """
    for name in dict.fromkeys(each.name for each in _activations(step) if not each.form):
        for form in WRITTEN_OUT.get(name, ()):
            yield _written(step, name, form)
    if isinstance(step, GlobalPooling) and step.keeps_sums:
        yield replace(step, keeps_sums=False)


def form_of(step: Any) -> str:
    """What is written otherwise in a step, and how; "" where nothing is."""
    if isinstance(step, GlobalPooling) and not step.keeps_sums:
        return "the mean as a sum in its own dtype: equivalent, less exact"
    return next(
        (f"{each} as {each.form}: equivalent, less exact near zero" for each in _activations(step) if each.form), ""
    )


def _activations(step: Any) -> Iterator[Activation]:
    for _, held in _held(step):
        yield from [held] if isinstance(held, Activation) else _activations(held)


def _held(step: Any) -> Iterator[tuple[str, Any]]:
    """Activations and steps inside a step, by field."""
    for field in fields(step):
        held = getattr(step, field.name)
        if is_dataclass(held) and not isinstance(held, type):
            yield field.name, held


def _written(step: Any, name: str, form: str) -> Any:
    if isinstance(step, Activation):
        return replace(step, form=form) if step.name == name else step
    return replace(step, **{field: _written(held, name, form) for field, held in _held(step)})
