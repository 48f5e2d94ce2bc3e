"""A path that Keras loads no model from: what it is, and what a person does about it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

MOST = 4000
"""Characters of another's message that are shown: some hold a whole configuration."""


def whole_message(error: BaseException) -> str:
    """All that an exception says, without colours, its lines indented under the first."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip() or type(error).__name__
    text = text if len(text) <= MOST else f"{text[:MOST]} ... ({len(text):,} characters in all)"
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n            ".join(lines)


WHOLE = "a whole model: .keras or .h5 of model.save()"
UNSAFE = "if you trust the file, say --unsafe-lambda (unsafe_lambda=True): the Python in it is then run"
UNKNOWN = (
    r"could not locate (class|function|object)|module \S+ cannot be imported|unknown (layer|object|\w+ function)|"
    "custom_objects"
)
"""What Keras says of a class or a function that it does not know."""
OWN = (
    "give the module that has them: --custom-objects my_layers.py (custom_objects=), which is imported and run; "
    "or give porter.verify the model itself"
)


def advice(path: Path, message: str, unsafe_lambda: bool) -> tuple[str, str]:
    """What was expected, and what to do for that kind of file.

    Args:
        path: that could not be loaded.
        message: what was raised.
        unsafe_lambda: whether Lambda layers were allowed.
    """
    kind = kind_of(path)
    if kind in KINDS:
        return KINDS[kind]
    said = message.lower()
    if "lambda" in said and ("safe" in said or "unsafe" in said) and not unsafe_lambda:
        return "layers without code of their own", UNSAFE
    if re.search(UNKNOWN, said):
        return "classes and functions of Keras alone", OWN
    if kind == "legacy":
        return (
            "a model that this Keras can load",
            f"where it is the legacy network itself, port it: porter port {path} -o port.keras",
        )
    return WHOLE, "save it with model.save('port.keras'); or give porter.verify the model itself"


def _weights_of(what: str) -> tuple[str, str]:
    return (
        WHOLE,
        f"{what}: give the model that they belong to beside them, --architecture model.json (architecture=; a .keras "
        "or .h5 of the same model will do); or load them into the model and give porter.verify the model itself",
    )


KINDS: Mapping[str, tuple[str, str]] = {
    "savedmodel": (
        WHOLE,
        "it is a SavedModel folder, which Keras 3 loads no model from: in the environment that saved it, "
        "tf.keras.models.load_model(folder).save('port.h5'); or give porter.verify a function that calls it",
    ),
    "checkpoint": (
        WHOLE,
        "it is a TensorFlow checkpoint, which has no architecture: build the model, "
        "tf.train.Checkpoint(model=model).restore(path), then model.save('port.keras')",
    ),
    "weights": _weights_of("it holds weights alone"),
    "architecture": (
        WHOLE,
        "it is an architecture without weights: give the weights as the port, and this beside them with --architecture "
        "(architecture=)",
    ),
    "unpacked": (
        WHOLE,
        "it is an unpacked .keras: pack config.json, metadata.json, model.weights.h5 as a zip again",
    ),
    "folder": (WHOLE, "it is a folder of something else: give the file of the model in it"),
    "onnx": ("a name that ends as its format does", "it is an ONNX file: name it .onnx"),
    "tflite": ("a name that ends as its format does", "it is a TensorFlow Lite file: name it .tflite"),
    "pickle": (
        WHOLE,
        "it is a pickle (PyTorch, scikit-learn, joblib), which runs whatever it holds and is never loaded: give "
        "porter.verify a function that calls the model",
    ),
}
"""What was expected and what to do, by what a file is whatever was raised."""


def kind_of(path: Path) -> str:
    """What a path is: a key of ``KINDS``, "legacy" for a model of Keras 1 or 2, or "" where nothing tells."""
    if path.is_dir():
        return _kind_of_folder(path)
    if path.suffix == ".index" or ".data-" in path.name or path.name == "checkpoint":
        return "checkpoint"
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"\x89HDF"):
        return _kind_of_hdf5(path)
    if path.name.lower().endswith(".weights.h5"):
        return "weights"
    known = next((kind for kind, tells in BY_HEAD.items() if tells(head)), None)
    return _kind_of_zip(path, head) if known is None else known


BY_HEAD: Mapping[str, Callable[[bytes], bool]] = {
    "tflite": lambda head: head[4:8] == b"TFL3",
    "onnx": lambda head: head.startswith(b"\x08") and b"\x12" in head[:4],
    "architecture": lambda head: head.lstrip().startswith(b"{"),
    "pickle": lambda head: head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"),
}
"""What the first bytes of a file say."""


def _kind_of_folder(path: Path) -> str:
    names = {each.name for each in path.iterdir()}
    if names & {"saved_model.pb", "saved_model.pbtxt"}:
        return "savedmodel"
    if "checkpoint" in names or any(name.endswith(".index") for name in names):
        return "checkpoint"
    return "unpacked" if {"config.json", "model.weights.h5"} <= names else "folder"


def _kind_of_hdf5(path: Path) -> str:
    import h5py

    try:
        with h5py.File(path) as file:
            if "model_config" not in file.attrs:
                return "weights"
            version = file.attrs.get("keras_version", "")
    except (OSError, RuntimeError, ValueError):
        return ""
    return "" if str(version).startswith("3") else "legacy"


def _kind_of_zip(path: Path, head: bytes) -> str:
    if not head.startswith(b"PK"):
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return ""
    return "pickle" if any(name.endswith("data.pkl") for name in names) else ""
