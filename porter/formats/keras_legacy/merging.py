"""Layers that join tensors."""

from __future__ import annotations

from porter.formats.keras_legacy.fields import Fields
from porter.formats.keras_legacy.spec import Spec, Translation


def merge(spec: Spec) -> Translation:
    """The merge layers of Keras 2, and Merge of Keras 1 by its mode."""
    fields = spec.fields
    if spec.kind != "Merge":
        axis = fields.get("axis", default=-1)
        return "Merge", {"mode": spec.kind, "axis": axis}, {}
    if fields.get("mode_type", default="raw") != "raw":
        from porter.formats.keras_legacy.errors import ExecutableLayerError

        raise ExecutableLayerError(
            f"{fields.where} is a Merge whose mode is code, which is not run",
            remedy=f"give a function in its place: --replace {spec.path}=module:function",
        )
    names = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate"}
    mode = fields.choice("mode", options=(*names, "dot", "cos"), default="sum")
    if mode in ("dot", "cos"):
        return "Dot", {"axes": _axes(fields, "dot_axes"), "normalize": False, "cosine": mode == "cos"}, {}
    return "Merge", {"mode": names[mode], "axis": fields.get("concat_axis", default=-1)}, {}


def dot(spec: Spec) -> Translation:
    """Dot of Keras 2."""
    normalize = spec.fields.flag("normalize", default=False)
    return "Dot", {"axes": _axes(spec.fields, "axes"), "normalize": normalize, "cosine": False}, {}


def _axes(fields: Fields, key: str) -> tuple[int, ...]:
    axes = fields.get(key, default=-1)
    if isinstance(axes, int):
        return (axes, axes)
    if not (isinstance(axes, list) and len(axes) == 2 and all(isinstance(axis, int) for axis in axes)):
        raise fields.wrong((key,), axes, "an axis, or one for each of two inputs")
    return tuple(axes)


def attention(spec: Spec) -> Translation:
    """Attention and AdditiveAttention."""
    fields = spec.fields
    options = ("dot", "concat")
    score = (
        "additive" if spec.kind == "AdditiveAttention" else fields.choice("score_mode", options=options, default="dot")
    )
    scale = fields.flag("use_scale", default=spec.kind == "AdditiveAttention")
    return (
        "Attention",
        {"score": score, "use_scale": scale, "causal": fields.flag("causal", default=False)},
        spec.arrays(),
    )


MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Merge")
