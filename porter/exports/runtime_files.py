"""ONNX and LiteRT among the formats: written from the network, and opened by their runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from porter.exports.registry import Format, WriteOptions, register
from porter.network import Network


def _write_onnx(network: Network, path: Path, options: WriteOptions) -> None:
    from porter.exports.onnx import build_onnx, save_onnx

    save_onnx(build_onnx(network, dtype=options.precision or "float32", layers=options.layers), path)


def _stamp_onnx(path: Path, record: Mapping[str, Any]) -> None:
    import onnx

    from porter.exports.onnx import save_onnx

    save_onnx(onnx.load(path), path, record)


def _open_onnx(path: Path, *, trusted: bool) -> Any:
    from porter.ports.onnx_file import open_onnx

    return open_onnx(path, trusted=trusted)


def _write_litert(network: Network, path: Path, options: WriteOptions) -> None:
    from porter.exports.litert import write_litert

    write_litert(network, path, precision=options.precision or "float32", seed=options.seed)


def _open_litert(path: Path, *, trusted: bool) -> Any:
    from porter.ports.litert_file import open_litert

    return open_litert(path, trusted=trusted)


ONNX = register(
    Format(
        "onnx",
        ".onnx",
        "ONNX, for onnxruntime and whatever else reads it",
        _write_onnx,
        needs="keras-porter[onnx]",
        opens=_open_onnx,
        precisions=("float32", "float64"),
        stamp=_stamp_onnx,
    )
)
LITERT = register(
    Format(
        "litert",
        ".tflite",
        "LiteRT, once TensorFlow Lite, for phones and small processors",
        _write_litert,
        needs="keras-porter[litert]",
        opens=_open_litert,
        precisions=("float32", "float16", "int8", "int16x8"),
    )
)
