"""A saved Keras model, loaded, with what a person says beside its path."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from porter.errors import PortError, UsageError
from porter.named import import_named
from porter.ports.keras.unloadable import advice, whole_message


@dataclass(frozen=True)
class Loading:
    """What a person says beside the path of a saved model.

    Attributes:
        custom_objects: the model's own classes and functions: a module, its name or its file, which is run, or a
            mapping of names; None where it has none.
        unsafe_lambda: whether Lambda layers may be loaded, whose code lies in the file and is run.
        architecture: a file with the model that the weights belong to; None where the path holds a whole model.
    """

    custom_objects: Mapping[str, Any] | ModuleType | str | Path | None = None
    unsafe_lambda: bool = False
    architecture: str | Path | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing was said."""
        return self.custom_objects is None and not self.unsafe_lambda and self.architecture is None


def load_port(path: Path, loading: Loading) -> Any:
    """Load a saved model without compiling it; no code of the file is run but what was allowed.

    Raises:
        PortError: there is nothing of that name, or it cannot be loaded; the message says what to do.
        UsageError: own classes that cannot be imported.
    """
    import keras

    from porter.ports.keras.versions import repaired, with_arrays

    if not path.exists():
        raise PortError(f"the port {path}", found="no such file", remedy="give the path of a .keras or .h5 model")
    own = {**repaired(path.suffix), **own_objects(loading.custom_objects)}
    try:
        if loading.architecture is not None:
            return _with_weights(Path(loading.architecture), path, own, loading)
        model = keras.models.load_model(path, custom_objects=own, compile=False, safe_mode=not loading.unsafe_lambda)
        return with_arrays(model)
    except PortError:
        raise
    except Exception as error:
        expected, remedy = advice(path, str(error), loading.unsafe_lambda)
        raise PortError(
            f"the port {path} cannot be loaded",
            found=f"Keras {keras.__version__}: {whole_message(error)}",
            expected=expected,
            remedy=remedy,
        ) from error


def _with_weights(architecture: Path, weights: Path, own: Mapping[str, Any], loading: Loading) -> Any:
    """The model of one file with the weights of another."""
    import keras

    from porter.ports.keras.versions import with_arrays

    if not architecture.exists():
        raise PortError(f"the architecture {architecture}", found="no such file", remedy="give a .json, .keras or .h5")
    is_safe = not loading.unsafe_lambda
    if architecture.suffix.lower() == ".json":
        config = json.loads(architecture.read_text(encoding="utf-8"))
        model = keras.saving.deserialize_keras_object(config, custom_objects=own, safe_mode=is_safe)
    else:
        model = keras.models.load_model(architecture, custom_objects=own, compile=False, safe_mode=is_safe)
    model.load_weights(weights)
    return with_arrays(model)


def own_objects(source: Mapping[str, Any] | ModuleType | str | Path | None) -> dict[str, Any]:
    """A model's own classes and functions by name; a module that is named is imported, because the user said so.

    Raises:
        UsageError: it cannot be imported, or has none.
    """
    if source is None:
        return {}
    if isinstance(source, Mapping):
        return dict(source)
    module = source if isinstance(source, ModuleType) else _imported(str(source))
    found = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value))
    }
    if not found:
        raise UsageError(f"custom objects of {source}", found="no class and no function", expected="those of the model")
    return found


def _imported(name: str) -> ModuleType:
    try:
        if not name.endswith(".py"):
            return import_named(name)
        spec = spec_from_file_location(Path(name).stem, name)
        if spec is None or spec.loader is None:
            raise ImportError(f"{name} is no module")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code may raise anything
        raise UsageError(
            f"custom objects of {name}",
            found=f"{type(error).__name__}: {error}",
            expected="a module that can be imported, or a .py file",
            remedy="--custom-objects my_layers.py (custom_objects=)",
        ) from error
    return module
