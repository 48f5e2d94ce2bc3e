"""Models whose inputs or outputs are dictionaries, which have no order but the names of their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porter.errors import PortError
from porter.ports.keras.foreign import is_own


def in_order(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """The same model with lists where it has dictionaries, whose keys are the names in question.

    Args:
        model: a keras.Model.
        inputs: the names of a network's inputs, in order.
        outputs: the names of its outputs.

    Returns:
        The model itself where neither is a dictionary, or where it is of a class of its own: what that does when it is
        called is not known. Otherwise a functional model of the very same layers.

    Raises:
        PortError: a dictionary of several with other keys, which nothing puts in order.
    """
    import keras

    if not isinstance(model, keras.Model) or type(model).__name__ != "Functional" or not is_own(model):
        return model
    taken, given = _listed(model, "inputs", model.input, inputs), _listed(model, "outputs", model.output, outputs)
    if taken is None and given is None:
        return model
    return keras.Model(
        model.input if taken is None else taken, model.output if given is None else given, name=model.name
    )


def _listed(model: Any, what: str, struct: Any, names: Sequence[str]) -> list[Any] | None:
    if not isinstance(struct, dict) or len(struct) != len(set(names)) or len(set(names)) < len(names):
        return None
    if len(names) > 1 and set(struct) != set(names):
        raise PortError(
            f"the port {model.name}",
            found=f"{what} as a dictionary with the keys {', '.join(map(str, struct))}, which have no order",
            expected=f"the legacy names as its keys ({', '.join(names)}), or a list in that order",
            remedy=f"name the {what} of keras.Model so",
        )
    return list(struct.values()) if len(names) == 1 else [struct[name] for name in names]
