"""Which of Keras' classes can compute which step of a legacy program: where nothing agrees, the kind decides first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from porter.examination.graphs.pieces import Piece
from porter.examination.graphs.steps import arrays_of

ACTIVATION = "activation"
MERGES = "Add|Subtract|Multiply|Average|Maximum|Minimum|Concatenate"
FAMILIES: Mapping[str, str] = {
    "Attention": "Attention|AdditiveAttention",
    "BatchNormalization": "BatchNormalization",
    "Bidirectional": "Bidirectional",
    "BilinearUpsampling": "UpSampling2D|Resizing|Resize",
    "Convolution": r"Conv\dD|Conv",
    "Dense": "Dense|EinsumDense|Matmul",
    "DepthwiseConvolution": r"DepthwiseConv\dD|DepthwiseConv",
    "Dot": "Dot|Matmul|Einsum|Tensordot",
    "Elementwise": ACTIVATION,
    "Embedding": "Embedding|Take",
    "GlobalPooling": r"Global(Max|Average)Pooling\dD|Mean|Max",
    "LayerNormalization": "LayerNormalization",
    "LocalConvolution": "EinsumDense|Dense",
    "Mask": "NotEqual|Any|All|LogicalAnd|Concatenate",
    "Masking": "Masking|Multiply",
    "Merge": MERGES,
    "PReLU": ACTIVATION,
    "Pooling": r"(Max|Average)Pooling\dD|MaxPool|AveragePool",
    "Rearrangement": r"Flatten|Reshape|Permute|Transpose|ZeroPadding\dD|Cropping\dD|UpSampling\dD|RepeatVector|Pad|"
    "Repeat|ExpandDims|Squeeze|GetItem|Tile",
    "Recurrent": r"LSTM|GRU|SimpleRNN|RNN|ConvLSTM\dD",
    "SeparableConvolution": r"SeparableConv\dD",
    "TransposedConvolution": r"Conv\dDTranspose|ConvTranspose",
}
"""By class of step, a pattern of the classes of Keras layers and operations."""
LENGTHS = ("Square", "Sum", "Sqrt", "Rsqrt", "Maximum", "Multiply", "Divide", "TrueDivide", "Norm", "Normalize")
"""What makes vectors of length 1 in front of a product, or divides it by their lengths."""


def can_compute(step: Any, piece: Piece) -> bool:
    """Whether a piece of the port is of the kind that the step is, as far as its class says."""
    kind = type(step).__name__.removeprefix("Timewise")
    if kind == "Part":
        return can_compute(step.step, piece)
    if kind == "Dot" and (step.normalize or step.cosine) and piece.kind in LENGTHS:
        return True
    if kind == "TimeDistributed":
        return piece.kind == "TimeDistributed" or can_compute(step.inner, piece)
    if FAMILIES.get(kind) == ACTIVATION:
        return piece.is_activation
    return re.fullmatch(FAMILIES.get(kind, ""), piece.kind) is not None or _same_shapes(step, piece)


def has_same_numbers(step: Any, piece: Piece) -> bool:
    """Whether most of the step's largest array stands in the piece's weights of that shape."""
    arrays = [array for array in arrays_of(step) if array.size > 1]
    if not arrays:
        return False
    own = max(arrays, key=lambda array: array.size)
    return any(
        tuple(weight.shape) == own.shape and np.mean(np.asarray(weight, np.float32) == own.astype(np.float32)) > 0.5
        for weight in getattr(piece.operation, "weights", ())
    )


def computes(step: Any, piece: Piece, beside: Sequence[Piece]) -> bool:
    """Whether a piece is of the kind that the step is, and no piece beside it has the step's numbers in its stead."""
    if not can_compute(step, piece):
        return False
    if not piece.has_weights or has_same_numbers(step, piece):
        return True
    return not any(has_same_numbers(step, other) for other in beside if other.operation is not piece.operation)


def fits(step: Any, piece: Piece) -> bool:
    """Whether a piece can hold the step's arrays: the same shapes, or neither has any."""
    weights = [] if piece.activation is not None else getattr(piece.operation, "weights", ())
    return [tuple(weight.shape) for weight in weights] == [array.shape for array in arrays_of(step)]


def _same_shapes(step: Any, piece: Piece) -> bool:
    return bool(arrays_of(step)) and fits(step, piece)


def applies_activation(step: Any) -> bool:
    """Whether a step ends in an activation that does something."""
    activation = getattr(step, "activation", None)
    return activation is not None and activation.name != "linear"


def is_merge(step: Any) -> bool:
    """Whether a step joins branches of the graph."""
    return type(step).__name__ in ("Merge", "Dot")
