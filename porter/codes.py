"""Every kind of mistake that has a name, and what a finding is made of before it is worded."""

from __future__ import annotations

from dataclasses import dataclass

CODES: dict[str, str] = {
    "kernel.transposed": "the kernel stands transposed",
    "kernel.reshaped": "the kernel was reshaped where it should have been transposed (C against Fortran order)",
    "kernel.flipped": "the kernel's entries stand in reverse order",
    "kernel.axes": "the axes of the convolution kernel are in another order",
    "kernel.augmented": "the augmented matrix [bias, kernel] was taken apart at the wrong end",
    "kernel.values": "entries of the kernel differ",
    "kernel.precision": "the kernel was rounded to fewer digits than its dtype holds",
    "kernel.unset": "the kernel still has the values of an initializer",
    "bias.missing": "the bias is left out",
    "bias.negated": "the bias has the opposite sign",
    "bias.values": "entries of the bias differ",
    "activation.replaced": "another activation",
    "activation.missing": "the activation is left out",
    "activation.added": "an activation where there should be none",
    "activation.parameter": "the activation has another parameter",
    "units.permuted": "the units stand in another order",
    "inputs.permuted": "the inputs stand in another order",
    "outputs.permuted": "the outputs stand in another order",
    "biases.swapped": "the bias belongs to another layer",
    "layers.swapped": "the layer has the arrays of another layer",
    "layers.missing": "the layer is left out",
    "layers.repeated": "the layer has the arrays of a layer that comes again elsewhere",
    "scaling.missing": "the scaling is left out or does nothing",
    "scaling.range": "the scaling maps to or from another range",
    "scaling.inverted": "the scaling is applied the other way round",
    "scaling.swapped": "minimum and maximum are exchanged, or multiplied for divided",
    "scaling.repeated": "the scaling is applied twice",
    "transform.replaced": "another transform",
    "batch_norm.epsilon": "another epsilon in the batch normalization",
    "layer_norm.epsilon": "another epsilon in the layer normalization",
    "batch_norm.order": "the parameters of the batch normalization are in another order",
    "recurrent.gates": "the gates are in another order",
    "recurrent.reset_after": "the reset gate is applied on the other side of the product",
    "recurrent.activation": "another activation inside the recurrence",
    "recurrent.swapped": "the input kernel and the recurrent kernel are exchanged",
    "recurrent.direction": "the sequence is read from its other end, or two directions are exchanged",
    "interpolation": "pixels are repeated where they should be averaged, or the other way round",
    "layer.argument": "a layer without weights has another argument",
    "padding": "another padding",
    "strides": "another stride or dilation",
    "pooling": "another pooling",
    "flatten.order": "flattened in another order of axes",
    "graph.edge": "a connection of the graph is missing or another",
    "merge.replaced": "several tensors are made one in another way",
    "mask.missing": "time steps that should be masked are not",
    "mask.value": "time steps of another value are masked",
    "state.missing": "a layer that keeps its state from call to call does not",
    "mode.training": "a layer runs in training mode",
    "call.overridden": "the model as it is called computes something else than its layers",
    "call.unsteady": "the port gives other numbers for the same rows",
    "selftest.values": "the rows that a program tests itself with are wrong, or what it holds against them",
    "precision.port": "the whole port holds fewer digits than its dtype",
    "gradient.cut": "the gradient of a layer is zero where the derivative of the legacy formula is not",
    "gradient.replaced": "the gradient of a layer is not the derivative of the legacy formula",
    "frozen.moved": "a layer of a tuned network that was meant to stay has moved",
    "reading.contradicted": "the golden samples contradict the reading of the file",
    "unexplained": "no explanation that was tried comes within what rounding allows",
}


@dataclass(frozen=True)
class Cause:
    """What was found to be wrong in one part of one layer.

    Attributes:
        code: one of ``CODES``.
        layer: the row that it is named at.
        message: what is wrong, as half a sentence after the layer's name.
        remedy: what to change, a line to paste where possible.
        detail: figures that show it.
    """

    code: str
    layer: str
    message: str
    remedy: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"no finding code {self.code!r}; known are {', '.join(CODES)}")
