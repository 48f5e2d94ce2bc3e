"""What the user may declare about a file, checked for sense before any file is looked at."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_args

from porter.errors import ListLengthError, OptionContradictionError, UnknownOrientationError, UnknownScalingError
from porter.network.activations import parse_activation
from reference.operations.dense import Orientation
from reference.operations.scaling import Rule

if TYPE_CHECKING:
    from porter.formats.keras_legacy.options import KerasOptions

ORIENTATIONS: tuple[str, ...] = get_args(Orientation)
HIDDEN, OUTPUT = "tanh", "linear"  # activations of OC-SMART's networks
RULES: tuple[str, ...] = (*get_args(Rule), "none")

# An entry of None leaves that layer to the file and the family.
Declared = str | tuple[str | None, ...] | None


@dataclass(frozen=True)
class ReadOptions:
    """Declared conventions; None where the file or the family decides.

    Attributes:
        activation: one for all hidden layers, or one a layer, output included.
        output_activation: of the last layer.
        orientation: of all kernels, or one a layer.
        scaling: the rule of ``Norm_in`` and ``Norm_out``; "none" leaves them out. A recipe may have one for either.
        kind: of network, for its physical transforms: "aaNN", ...
        physical: whether the physical transforms belong to the network.
        keras: what is declared of a legacy Keras file.
        gains: factors of the outputs, one a band, or the path of a text that has them.
        exact_activations: whether functions take the place of the original's own: tables, or what is cut off.
    """

    activation: Declared = None
    output_activation: str | None = None
    orientation: Declared = None
    scaling: str | tuple[str | None, str | None] | None = None
    kind: str | None = None
    physical: bool = False
    keras: KerasOptions | None = None
    exact_activations: bool = False
    gains: str | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("activation", "orientation"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                object.__setattr__(self, name, tuple(value))
        self._check_activations()
        for orientation in _each(self.orientation):
            if orientation not in ORIENTATIONS:
                raise UnknownOrientationError(
                    f"orientation {orientation!r} is not known", expected=" or ".join(map(repr, ORIENTATIONS))
                )
        for rule in (self.scaling,) if isinstance(self.scaling, str) else self.scaling or ():
            if rule is not None and rule not in RULES:
                raise UnknownScalingError(f"scaling {rule!r} is not known", expected=", ".join(map(repr, RULES)))

    def rule_at(self, name: str) -> str | None:
        """The declared rule of ``Norm_in`` or ``Norm_out``."""
        if self.scaling is None or isinstance(self.scaling, str):
            return self.scaling
        return self.scaling[name == "Norm_out"]

    def _check_activations(self) -> None:
        if self.output_activation is not None and isinstance(self.activation, tuple):
            raise OptionContradictionError(
                "activation= is a list, and output_activation= is given too",
                expected="a list has one entry a layer, the output layer's included",
                remedy="leave output_activation out",
            )
        for name in (*_each(self.activation), *_each(self.output_activation)):
            parse_activation(name)

    def declarations(self) -> dict[str, Any]:
        """What was declared, as plain data under the options' names; what was not is left out.

        In a list, None leaves a layer to the file and the family.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "keras"}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None and value is not False
        }

    def merged(self, other: ReadOptions) -> ReadOptions:
        """Both together.

        Raises:
            OptionContradictionError: both declare the same thing differently.
        """
        mine, theirs = ({name: value for name, value in vars(each).items() if value} for each in (self, other))
        for name in sorted(mine.keys() & theirs.keys()):
            if mine[name] != theirs[name]:
                raise OptionContradictionError(
                    f"{name}= contradicts the recipe",
                    found=f"option {mine[name]!r}, recipe {theirs[name]!r}",
                    remedy="leave one of them out",
                )
        return ReadOptions(**{**theirs, **mine})


def one_a_layer(option: str, declared: Declared, layers: int) -> tuple[str | None, ...]:
    """What was declared for each layer.

    Raises:
        ListLengthError: a list of another length.
    """
    if declared is None or isinstance(declared, str):
        return (declared,) * layers
    if len(declared) != layers:
        raise ListLengthError(
            f"{option}= is a list of {len(declared)}",
            expected=f"{layers}, one for each layer, the output layer's included",
        )
    return declared


def _each(value: Declared) -> tuple[str, ...]:
    if value is None or isinstance(value, str):
        return () if value is None else (value,)
    return tuple(name for name in value if name is not None)
