"""Widths, orientations and order of the dense layers: what proves them, and what is left to assume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from porter.errors import LayersError, OptionContradictionError, ScalingShapeError
from porter.formats.chain import LayerShape, chains, order_is_proven
from porter.formats.members import Layout
from porter.formats.options import Declared, one_a_layer
from porter.formats.scalings import HOW_TO_PROVE
from porter.network import Claim

Array = NDArray[Any]

BY_NAME = "declared by the names of its arrays"


@dataclass(frozen=True)
class Chain:
    """The dense layers' shapes, solved.

    Attributes:
        layers: shapes as stored.
        widths: inputs, then the units of each layer.
        orientations: one a layer, as it will be read.
        claims: on the orientations and the order.
    """

    layers: tuple[LayerShape, ...]
    widths: tuple[int, ...]
    orientations: tuple[str, ...]
    claims: tuple[Claim, ...]


def solve(
    where: str,
    arrays: Mapping[str, Array],
    layout: Layout,
    shapes: tuple[LayerShape, ...],
    *,
    declared: Declared,
    order_declared: bool,
) -> Chain:
    """Widths and orientations from the shapes, what the file states, what was declared, and the names, in this order.

    Args:
        where: the file, for messages.
        arrays: by stored name.
        layout: which of them are what.
        shapes: of the layers, in order of computation.
        declared: orientations.
        order_declared: whether a person named the layers in this order.

    Raises:
        WidthError: the kernels do not chain.
        LayersError: ``Layers`` contradicts them.
        ScalingShapeError: ``Norm_in`` or ``Norm_out`` do.
        OptionContradictionError: a declared orientation does.
        ListLengthError: another number of orientations than layers.
    """
    candidates = chains(where, shapes)
    known = _stated_widths(where, arrays, layout, candidates)
    fitting = [widths for widths in candidates if _fits(widths, known)]
    wanted = one_a_layer("orientation", declared, len(shapes))
    agreeing = [widths for widths in fitting if not _contradictions(shapes, widths, wanted)]
    if not agreeing:
        _refuse_orientation(where, shapes, fitting[0], wanted)
    names = layout.named or (None,) * len(shapes)
    hints = [name if want is None else None for name, want in zip(names, wanted, strict=True)]
    as_named = [widths for widths in agreeing if not _contradictions(shapes, widths, hints)]
    widths = (as_named or agreeing)[0]
    orientations, claims = _orientations(
        shapes, widths, wanted, names, proven=len(fitting) == 1, names_hold=bool(as_named)
    )
    order = _order_claim(layout, order_is_proven(shapes, known), order_declared)
    return Chain(shapes, widths, orientations, (*claims, order))


def _fits(widths: Sequence[int], known: Mapping[int, int]) -> bool:
    return all(widths[place] == width for place, width in known.items())


def _stated_widths(
    where: str, arrays: Mapping[str, Array], layout: Layout, candidates: Sequence[tuple[int, ...]]
) -> dict[int, int]:
    """Widths by position that ``Layers`` and the ranges state; each must fit some chain of the kernels."""
    known: dict[int, int] = {}
    if layout.widths is not None:
        stated = arrays[layout.widths]
        known = dict(enumerate(stated.reshape(-1).tolist()))
        if len(known) != len(candidates[0]) or not any(_fits(widths, known) for widths in candidates):
            raise LayersError(
                f"{where}: {layout.widths!r} contradicts the arrays",
                found=" ".join(map(str, known.values())),
                expected=" or ".join(" ".join(map(str, widths)) for widths in candidates)
                + " (inputs, then the units of each layer)",
                remedy="one of them is of another network: get the file again, or leave it out in a recipe",
            )
    for name, place in ((layout.norm_in, 0), (layout.norm_out, len(candidates[0]) - 1)):
        if name is None:
            continue
        shape = arrays[name].shape
        fitting = {widths[place] for widths in candidates if _fits(widths, known) and _is_range(shape, widths[place])}
        if not fitting:
            either = " or ".join(dict.fromkeys(f"({w[place]}, 2)" for w in candidates if _fits(w, known)))
            raise ScalingShapeError(
                f"{where}: {name!r} does not fit the network",
                found=f"shape {shape}",
                expected=f"{either}: a minimum and a maximum a column",
                remedy="check that it belongs to this network",
            )
        if len(fitting) == 1:
            known[place] = fitting.pop()
    return known


def _is_range(shape: tuple[int, ...], width: int) -> bool:
    return shape in ((width, 2), (2, width))


def _contradictions(
    shapes: Sequence[LayerShape], widths: Sequence[int], wanted: Sequence[str | None]
) -> list[tuple[LayerShape, str, str]]:
    """Layers whose shape says another orientation than was declared: shape, declared, proven."""
    found = []
    for shape, inputs, units, want in zip(shapes, widths, widths[1:], wanted, strict=False):
        says = shape.orientation(inputs, units)
        if want is not None and says not in (None, want):
            found.append((shape, want, str(says)))
    return found


def _refuse_orientation(
    where: str, shapes: Sequence[LayerShape], widths: Sequence[int], wanted: Sequence[str | None]
) -> None:
    shape, want, says = _contradictions(shapes, widths, wanted)[0]
    raise OptionContradictionError(
        f"{where}: {shape} is declared {want}, but its shape says otherwise",
        found=f"orientation={want!r}",
        expected=f"{says!r}: it must chain with its bias and its neighbours",
        remedy="leave the option out for this layer: a list has one entry a layer",
    )


def _orientations(
    shapes: Sequence[LayerShape],
    widths: Sequence[int],
    wanted: Sequence[str | None],
    names: Sequence[str | None],
    *,
    proven: bool,
    names_hold: bool,
) -> tuple[tuple[str, ...], list[Claim]]:
    """Names that the shapes of any layer contradict hold for none: the file does not follow its library."""
    pairs = zip(shapes, widths, widths[1:], strict=False)
    said = [shape.orientation(inputs, units) for shape, inputs, units in pairs]
    default = "inputs-first" if set(said) - {None} == {"inputs-first"} else "units-first"
    found, claims = [], []
    for shape, says, want, name in zip(shapes, said, wanted, names, strict=True):
        orientation = says or want or (name if names_hold else None) or default
        found.append(orientation)
        claims.append(_orientation_claim(shape, orientation, says, want, name, proven=proven, names_hold=names_hold))
    return tuple(found), claims


def _orientation_claim(
    shape: LayerShape,
    value: str,
    says: str | None,
    want: str | None,
    name: str | None,
    *,
    proven: bool,
    names_hold: bool,
) -> Claim:
    rows, columns = shape.kernel
    otherwise = f"its name says {name}" if name not in (None, value) else ""
    if says is not None and proven:
        detail = f"{rows} x {columns} chains with its bias and its neighbours only so"
        return Claim(shape.name, "orientation", value, "shape", "; ".join(filter(None, (detail, otherwise))))
    if want is not None:
        return Claim(shape.name, "orientation", value, "declared", otherwise)
    if name is not None and names_hold:
        return Claim(shape.name, "orientation", value, "declared", BY_NAME)
    why = f"{rows} x {columns} is square: no shape can tell" if says is None else "the chain fits both ways round"
    if name is not None:
        why += f"; its name says {name}, and the shape of another layer contradicts its own name"
    return Claim(shape.name, "orientation", value, "assumed", f"{why}; {HOW_TO_PROVE}")


def _order_claim(layout: Layout, proven: bool, declared: bool) -> Claim:
    last = [name.rpartition("/")[2] for name in layout.kernels]
    names = ", ".join(last if len(set(last)) == len(last) else layout.kernels)
    if proven:
        return Claim("network", "order", names, "shape", "the layers chain in this order only")
    if declared:
        return Claim("network", "order", names, "declared")
    detail = f"by the numbers in their names; other orders chain too; {HOW_TO_PROVE}"
    return Claim("network", "order", names, "assumed", detail)
