"""Which mask of time steps comes out of a layer, by the rules of Keras 2."""

from __future__ import annotations

from dataclasses import replace

from porter.formats.keras_legacy.entries import RECURRENT, WRAPPERS, Entry
from porter.formats.keras_legacy.errors import UnknownModeError
from porter.formats.keras_legacy.roles import BATCH_NORMALIZATIONS
from porter.network.graph import Era, KerasCall, KerasLayer, Ref

KEEPS_MASK = frozenset((
    "Activation", "ActivityRegularization", "AdditiveAttention", "AlphaDropout", "Attention", "SpatialDropout1D",
    *BATCH_NORMALIZATIONS, "Dense", "Dropout", "ELU", "GroupNormalization", "Identity", "UnitNormalization",
    "GaussianDropout", "GaussianNoise", "InputLayer", "LayerNormalization", "LeakyReLU", "PReLU", "ReLU",
    "ThresholdedReLU", "TimeDistributed", "TimeDistributedDense",
))  # fmt: skip
ENDS_MASK = frozenset(("Dot", "GlobalAveragePooling1D"))
JOINS_MASKS = frozenset(("Add", "Average", "Concatenate", "Maximum", "Merge", "Minimum", "Multiply", "Subtract"))


def with_mask(entry: Entry, layer: KerasLayer, call: KerasCall, era: Era, where: str) -> tuple[KerasCall, Ref | None]:
    """The call, and the mask of what it gives, by Keras' rules.

    Args:
        entry: the layer as it is listed.
        layer: the same, translated.
        call: with the masks of what it takes.
        era: who saved the file.
        where: file and layer, for messages.

    Raises:
        UnknownModeError: a mask comes to a layer that Keras 2 has none come to.
    """
    masks = [mask for mask in call.masks if mask is not None]
    own = Ref(call.name, mask=True)
    zero = entry.kind == "Embedding" and bool(entry.config.get("mask_zero"))
    if layer.operation != "Replaced" and (entry.kind == "Masking" or zero):
        return replace(call, gives_mask="nonzero" if zero else "any"), own
    if not masks or layer.operation == "Replaced" or ends_mask(entry.kind, era):
        return call, None
    if entry.kind in KEEPS_MASK or (entry.kind == "Softmax" and era.version < (2, 4)):
        return call, call.masks[0]  # of an attention the query's
    if layer.operation in ("Recurrent", "ConvLSTM", "Bidirectional"):
        inner = layer.inner[0] if layer.inner else layer
        return call, masks[0] if inner.parameters["return_sequences"] else None
    if entry.kind in JOINS_MASKS:
        in_time = layer.parameters.get("mode") == "Concatenate" and layer.parameters["axis"] == 1
        if in_time and len(masks) == len(call.inputs):
            return replace(call, gives_mask="concatenate"), own
        if not in_time:
            return (call, masks[0]) if len(set(masks)) == 1 else (replace(call, gives_mask="all"), own)
    raise UnknownModeError(
        f"{where} is a {entry.kind}, and a mask comes to it",
        expected="no mask: Keras 2 itself refuses it here, or has the Softmax use it",
    )


def ends_mask(kind: str, era: Era) -> bool:
    """Whether a class uses masks up, or lets them end: tf.keras does so at layers that know none."""
    known = {*KEEPS_MASK, *JOINS_MASKS, *RECURRENT, *WRAPPERS, "Softmax"}
    return kind in ENDS_MASK or (era.is_tf and kind not in known)
