"""Activations that a file itself names, in attributes of its arrays, of their groups, or of the whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from porter.errors import StoredTypeError, UnknownActivationError
from porter.network import Claim
from porter.network.activations import parse_activation

BY_THE_FILE = "declared by the file"
OF_A_LAYER = ("activation", "activation_function", "transfer_function", "act")
OF_ALL = ("activations", "activation_functions")
OF_HIDDEN = ("activation", "hidden_activation", "hidden_activations")
OF_OUTPUT = ("output_activation", "out_activation", "final_activation")
EVERY = frozenset((*OF_A_LAYER, *OF_ALL, *OF_HIDDEN, *OF_OUTPUT))


def attribute_names(stored: Iterable[str]) -> list[str]:
    """Those of the attributes' full names that may name an activation."""
    return [name for name in stored if name.rpartition("@")[2].lower() in EVERY]


HINTS = {
    "activation": re.compile(r"activ|nonlin|transfer|squash"),
    "scaling": re.compile(r"scal|normali[sz]|standardi[sz]|min_?max|z_?score"),
    "orientation": re.compile(r"orient|transpos|layout|major"),
}
"""What the name of an attribute has in it that may say such a convention."""
SILENT = re.compile(r"the files? do(es)? not say|for nothing says it|for neither file nor recipe says it")


def hinting_names(stored: Iterable[str]) -> list[str]:
    """Those of the attributes' full names that may say a convention, in whatever words."""
    return [name for name in stored if any(hint.search(name.rpartition("@")[2].lower()) for hint in HINTS.values())]


def with_hints(claims: Iterable[Claim], attributes: Iterable[str]) -> tuple[Claim, ...]:
    """The claims, none of which says that the file does not say what one of its attributes may say.

    Args:
        claims: of the reading.
        attributes: full names of all that the file has.
    """
    names = {kind: [name for name in attributes if hint.search(name.rpartition("@")[2].lower())]
             for kind, hint in HINTS.items()}  # fmt: skip
    return tuple(_with_hint(claim, names.get(claim.convention, [])) for claim in claims)


def _with_hint(claim: Claim, names: list[str]) -> Claim:
    if claim.evidence != "assumed" or not names or not SILENT.search(claim.detail):
        return claim
    listed = ", ".join(repr(name) for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    verb = "is" if len(names) == 1 else "are"
    told = f"the file may say it in its attribute{'s' * (len(names) > 1)} {listed}, which {verb} not understood"
    return replace(claim, detail=SILENT.sub(lambda match: told, claim.detail))


def said_activations(
    attributes: Mapping[str, Any], kernels: Sequence[str], biases: Sequence[str | None]
) -> list[str | None]:
    """One spelling a layer, None where the file does not say.

    Args:
        attributes: by full name, ``"object@name"``, as ``WeightFile.attributes`` has them.
        kernels: stored names, in order of computation.
        biases: likewise.
    """
    known = {name.lower(): value for name, value in attributes.items()}
    found = [_own(known, kernel, bias) for kernel, bias in zip(kernels, biases, strict=True)]
    listed = next((known[name] for name in OF_ALL if name in known), None)
    if isinstance(listed, str):
        listed = [part.strip() for part in listed.split(",")]
    if isinstance(listed, list) and len(listed) in (len(kernels), len(kernels) - 1):
        whole = [str(text) for text in listed] + [None] * (len(kernels) - len(listed))
        found = [own if own is not None else text for own, text in zip(found, whole, strict=True)]
    hidden = next((known[name] for name in OF_HIDDEN if isinstance(known.get(name), str)), None)
    output = next((known[name] for name in OF_OUTPUT if isinstance(known.get(name), str)), None)
    general = [hidden] * (len(kernels) - 1) + [output]
    return [own if own is not None else text for own, text in zip(found, general, strict=True)]


def _own(known: Mapping[str, Any], kernel: str, bias: str | None) -> str | None:
    """Of the kernel, of its bias, of the groups around the kernel, the nearest first."""
    objects = [kernel.lower()] + ([] if bias is None else [bias.lower()])
    group = kernel.lower().rpartition("/")[0]
    while group:
        objects.append(group)
        group = group.rpartition("/")[0]
    for owner in objects:
        for name in OF_A_LAYER:
            value = known.get(f"{owner}@{name}")
            if isinstance(value, str):
                return value
    return None


def checked_spelling(where: str, layer: str, text: str) -> str:
    """The same spelling, if it is one that is known.

    Raises:
        StoredTypeError: it is not; the user can say what is meant.
    """
    try:
        parse_activation(text)
    except UnknownActivationError as error:
        raise StoredTypeError(
            f"{where}: the file says the activation of {layer} is {text!r}, which is not known",
            expected=error.expected,
            remedy="say what is meant: --activation",
        ) from error
    return text
