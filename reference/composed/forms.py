"""Other ways to write the same function, exact on paper and less so in floating point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from reference.activations import Activation
from reference.rounding.constants import WRITTEN_OUT


def equivalent_forms(step: Any) -> Iterator[Any]:
    """The other ways in which a port may have written a step's activations, the closest first.

    Args:
        step: of any kind; the activations of the steps inside it are written so as well.
    """
    for name in dict.fromkeys(each.name for each in _activations(step) if not each.form):
        for form in WRITTEN_OUT.get(name, ()):
            yield _written(step, name, form)


def form_of(step: Any) -> str:
    """The formula by which a step's activation is written out; "" where it is not."""
    return next((each.form for each in _activations(step) if each.form), "")


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
