"""The model that learning starts from: a port, a legacy file, or any Keras model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from porter.errors import UsageError
from porter.learning.units import Ends, Limits, documented, ends_of
from porter.network import Network, Scaling


@dataclass(frozen=True)
class Start:
    """A model with what is known about it.

    Attributes:
        model: keras.Model.
        network: the legacy network, where it is known.
        ends: what stands before and after the layers that learn.
        limits: documented range of inputs and outputs.
        name: for people.
        record: the provenance record of the file, or empty.
    """

    model: Any
    network: Network | None
    ends: Ends
    limits: Limits
    name: str
    record: dict[str, Any] = field(default_factory=dict)


def open_start(
    model: Any, *, legacy: Any = None, placement: str | None = None, dtype: str = "float32", **reading: Any
) -> Start:
    """What learning starts from.

    Args:
        model: a keras.Model, the path of a saved one, a legacy file or network (which is built first).
        legacy: the legacy network or file, where ``model`` is a port and its ranges and units are wanted.
        placement: where the port has the scaling.
        dtype: of the port that is built of a legacy file.
        **reading: options of ``porter.read``.

    Raises:
        UsageError: a legacy file given twice.
        PorterError: a file that cannot be read.
    """
    from porter.jobs.port import as_network
    from porter.jobs.provenance import is_saved_model, read_provenance

    is_path = isinstance(model, str | Path)
    record = (read_provenance(model) or {}) if is_path and is_saved_model(model) else {}
    network = None if legacy is None else as_network(legacy, reading)
    name = Path(model).name if is_path else getattr(model, "name", "model")
    if isinstance(model, Network) or (is_path and not is_saved_model(model)):
        if network is not None:
            raise UsageError("legacy", found="a legacy file beside a model that is one itself", expected="one of them")
        from porter.ports.keras.build import build

        network = as_network(model, reading)
        placement = "inside" if placement is None else placement
        model = build(network, placement=placement, dtype=dtype)
    elif is_path:
        from porter.ports.keras.graph import read_port

        model = read_port(model)
    placement = placement or record.get("options", {}).get("placement")
    ends = ends_of(network, {layer.name for layer in model.layers}, placement)
    if network is None and ends.stage == "network":
        ends = Ends(ends.stage, _scalings(model, record))
    return Start(model, network, ends, documented(ends), str(name), record)


def _scalings(model: Any, record: dict[str, Any]) -> tuple[Scaling | None, Scaling | None]:
    """The scaling that the port carries in layers of its own, by the rule that its record tells."""
    rules = {
        claim.get("layer"): claim.get("value")
        for claim in record.get("claims", [])
        if claim.get("convention") == "scaling"
    }
    layers = {layer.name: layer for layer in model.layers}
    found: list[Scaling | None] = []
    for name in ("Norm_in", "Norm_out"):
        layer, rule = layers.get(name), rules.get(name)
        if layer is None or rule not in ("[-1,1]", "[0,1]", "mean-std"):
            found.append(None)
            continue
        scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
        found.append(Scaling(name, rule, np.empty((0, 2)), scale, offset))
    return found[0], found[1]


def check_ends(model: Any, remedy: str | None = None) -> None:
    """That there is one input and one output, which can be named.

    Raises:
        UsageError: several, or a subclassed model that does not show them.
    """
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if inputs is None or outputs is None:
        found = "a model that does not show its inputs and outputs"
    elif len(inputs) == len(outputs) == 1:
        return
    else:
        found = f"{len(inputs)} inputs and {len(outputs)} outputs"
    raise UsageError("the model", found=found, expected="one of each", remedy=remedy)
