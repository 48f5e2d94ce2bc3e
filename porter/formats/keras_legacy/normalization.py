"""Normalizations."""

from __future__ import annotations

from porter.formats.keras_legacy.errors import UnknownModeError
from porter.formats.keras_legacy.spec import Spec, Translation


def batch_normalization(spec: Spec) -> Translation:
    """BatchNormalization; early Keras 1 stored a deviation, of which the variance for Keras 3 is made."""
    fields = spec.fields
    axis = fields.get("axis", default=-1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if not isinstance(axis, int):
        raise UnknownModeError(f"{fields.where}: axis", found=repr(axis), expected="one axis")
    mode = fields.choice("mode", options=(0, 1, 2), default=0)
    version = (*spec.era.version, 0, 0)[:3]
    early = version < (1, 0, 6) or (version == (1, 0, 6) and spec.is_theano) if version[0] == 1 else False
    parameters = {
        "axis": axis, "epsilon": fields.number("epsilon", default=1e-3), "scale": fields.flag("scale", default=True),
        "center": fields.flag("center", default=True), "early": early, "first": version < (1, 0, 5),
    }  # fmt: skip
    weights = spec.arrays()
    renamed = {"running_mean": "moving_mean", "running_std": "moving_variance"}
    weights = {renamed.get(role, role): array for role, array in weights.items()}
    if mode:
        weights = {role: array for role, array in weights.items() if role in ("gamma", "beta")}
    return ("BatchNorm", "SampleNorm", "RowsNorm")[mode], parameters, weights


def layer_normalization(spec: Spec) -> Translation:
    """LayerNormalization."""
    axis = spec.fields.get("axis", default=-1)
    return "LayerNorm", {
        "axis": list(axis) if isinstance(axis, list) else [axis],
        "epsilon": spec.fields.number("epsilon", default=1e-3),
        "scale": spec.fields.flag("scale", default=True),
        "center": spec.fields.flag("center", default=True),
    }, spec.arrays()  # fmt: skip
