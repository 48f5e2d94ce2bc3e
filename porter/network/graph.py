"""A legacy Keras model in canonical form: layers with the arguments and arrays of Keras 3, and the calls of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from numpy.typing import NDArray

from porter.network import Network
from porter.network.network import Rows

Array = NDArray[Any]


@dataclass(frozen=True)
class Era:
    """Who saved the file.

    Attributes:
        version: of Keras, as numbers.
        backend: "tensorflow", "theano", "cntk", or None where nothing says.
        is_tf: whether it was tf.keras.
        resizes_by_centres: how bilinear upsampling stood to the pixels; None where nothing says.
    """

    version: tuple[int, ...]
    backend: str | None
    is_tf: bool = False
    resizes_by_centres: bool | None = None


@dataclass(frozen=True)
class Ref:
    """A tensor: an input of the model, or one output of a call.

    Attributes:
        name: of the input or the call.
        index: of the output; 0 is the first.
        mask: whether its mask is meant.
    """

    name: str
    index: int = 0
    mask: bool = False


@dataclass(frozen=True)
class KerasLayer:
    """A layer, once, however often it is called.

    Attributes:
        name: path of legacy names: ``sub/layer``.
        kind: its legacy class.
        operation: what computes it: the name of a builder of ``porter.ports.keras.graph_model``.
        parameters: arguments under Keras 3 names, plain data.
        weights: arrays in Keras 3 layout, by Keras 3 variable name, in its order.
        inner: the layer or layers inside a wrapper.
        model: the whole network inside TimeDistributed, where there is one.
    """

    name: str
    kind: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict, repr=False)
    inner: tuple[KerasLayer, ...] = ()
    model: KerasNetwork | None = None

    def every_layer(self) -> Iterator[KerasLayer]:
        """The layer, and those inside it."""
        yield self
        for layer in self.inner:
            yield from layer.every_layer()
        if self.model is not None:
            yield from self.model.every_layer()


@dataclass(frozen=True)
class KerasCall:
    """One call of a layer.

    Attributes:
        name: of the step: the layer's path, with ``@number`` where it is called several times.
        layer: the layer's path.
        inputs: what it takes.
        mask: the mask that it is given, or None; one for each input of an attention layer.
        outputs: how many tensors it gives.
        gives_mask: how a new mask comes about: "any", "nonzero", "all", "concatenate", or None.
    """

    name: str
    layer: str
    inputs: tuple[Ref, ...]
    masks: tuple[Ref | None, ...] = ()
    outputs: int = 1
    gives_mask: str | None = None


@dataclass(frozen=True)
class KerasInput:
    """An input of the model.

    Attributes:
        name: of its layer.
        shape: without the rows.
        dtype: as the file has it.
        rows: of every batch, where that is fixed.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str
    rows: int | None = None


@dataclass(frozen=True)
class KerasNetwork(Network):
    """A legacy Keras model, read.

    ``layers`` are ``KerasLayer``. Besides the attributes of ``Network``:

    Attributes:
        era: who saved it.
        inputs: in order.
        calls: in order of computation.
        outputs: in order.
        replacements: functions of tensors in the place of layers that are not run, by layer path.
        has_weights: False for an architecture alone.
    """

    form: ClassVar[str] = "a graph of Keras layers"

    era: Era = Era((2,), None)
    inputs: tuple[KerasInput, ...] = ()
    calls: tuple[KerasCall, ...] = ()
    outputs: tuple[Ref, ...] = ()
    replacements: Mapping[str, Any] = field(default_factory=dict)
    has_weights: bool = True

    @property
    def row_shapes(self) -> tuple[Rows, Rows]:
        """What a row of each input looks like; of the outputs the file says nothing."""
        return tuple(each.shape for each in self.inputs), (None,) * len(self.outputs)

    def every_layer(self) -> Iterator[KerasLayer]:
        """The layers, those inside wrappers too."""
        layers: Any = self.layers
        for layer in layers:
            yield from layer.every_layer()
