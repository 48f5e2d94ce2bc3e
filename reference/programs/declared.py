"""What a user declared, laid over what a file or its software says; a list has one entry a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from reference.activation_names import parse_activation
from reference.activations import Activation
from reference.operations.dense import Orientation
from reference.operations.scaling import Rule

Declared = str | Sequence[str | None] | None
RULES = ("[-1,1]", "[0,1]", "mean-std", "none")


def chosen_activations(own: Sequence[str], declared: Declared, output: str | None) -> list[Activation]:
    """One activation a layer.

    Args:
        own: spellings that hold where nothing was declared.
        declared: one spelling for all hidden layers, or a list for all layers, in which None leaves a layer as it is.
        output: spelling for the last layer.

    Raises:
        ValueError: a list of another length, or a spelling that nobody knows.
    """
    wanted: list[str | None] = [None] * len(own)
    if declared is None or isinstance(declared, str):
        wanted = [declared] * (len(own) - 1) + [output]
    elif output is not None:
        raise ValueError("a list of activations has one for each layer, output included; leave output_activation out")
    else:
        wanted = list(declared)
    if len(wanted) != len(own):
        raise ValueError(f"{len(wanted)} activations for {len(own)} layers")
    return [parse_activation(mine if text is None else text) for mine, text in zip(own, wanted, strict=True)]


def chosen_orientations(own: Orientation, declared: Declared, layers: int) -> list[Orientation]:
    """One orientation a layer, the format's own where nothing was declared.

    Raises:
        ValueError: a list of another length, or a word that is no orientation.
    """
    wanted = [declared] * layers if declared is None or isinstance(declared, str) else list(declared)
    if len(wanted) != layers:
        raise ValueError(f"{len(wanted)} orientations for {layers} layers")
    for want in wanted:
        if want not in (None, "units-first", "inputs-first"):
            raise ValueError(f"orientation {want!r}; expected 'units-first' or 'inputs-first'")
    return [own if want is None else cast("Orientation", want) for want in wanted]


def chosen_rule(own: Rule, declared: str | None) -> Rule | None:
    """The scaling rule; None to leave the scaling out.

    Raises:
        ValueError: a word that is no rule.
    """
    if declared is None:
        return own
    if declared not in RULES:
        raise ValueError(f"scaling {declared!r}; expected one of {', '.join(RULES)}")
    return None if declared == "none" else cast("Rule", declared)
