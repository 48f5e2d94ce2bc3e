"""One exception for each way in which a legacy Keras file cannot be ported as it is."""

from __future__ import annotations

from collections.abc import Mapping

from porter.errors import PorterError, UnreadableError, UsageError


class NotAModelError(UnreadableError):
    """JSON or HDF5 of Keras that holds no model: a tokenizer, an optimizer, a list of something else."""


class JsonError(UnreadableError):
    """Text that is not JSON, or JSON nested too deep."""


class ConfigError(UnreadableError):
    """A model's configuration that is damaged: what should be there is not, or is of the wrong kind."""


class ExecutableLayerError(UnreadableError):
    """A layer whose computation is code in the file, or the name of code outside it; neither is run."""


class UnknownLayerError(UnreadableError):
    """A layer class that is not on the list of those that are read."""


class UnknownModeError(UnreadableError):
    """A layer that is read, in a mode or with an argument that is not."""


class GraphError(UnreadableError):
    """Layers that take what nothing gives, or that wait for each other."""


class WeightsError(UnreadableError):
    """Stored arrays that do not fit the layers: too few, too many, of another shape, or none of them matched."""


class WeightsMissingError(UsageError):
    """An architecture without weights, where weights are needed."""


class ArchitectureMissingError(UsageError):
    """A file of weights alone, where an architecture is needed."""


class BackendQuestionError(UsageError):
    """A file whose meaning depends on the backend that saved it, which it does not say."""


class ReplacementError(UsageError):
    """A replacement that fits no layer, or cannot be called."""


def several(errors: Mapping[str, PorterError], where: str) -> PorterError:
    """One refusal of all layers that are not read."""
    kinds = {type(error) for error in errors.values()}
    told = [
        f"layer {error.what.rpartition(': layer ')[2]}" + (f" ({error.found})" if error.found else "")
        for error in errors.values()
    ]
    return (kinds.pop() if len(kinds) == 1 else UnknownLayerError)(
        f"{where}: {len(errors)} layers are not read",
        found="\n            ".join(told),
        remedy="give functions in their places: " + " ".join(f"--replace {path}=module:function" for path in errors),
    )
