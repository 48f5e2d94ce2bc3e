"""What runs a port: Keras' backend, its version, the kind of device, and how that multiplies float32."""

from __future__ import annotations

from dataclasses import dataclass

from reference.precision import Precision

BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
"""Keras' backends, as people spell them."""


@dataclass(frozen=True)
class Runtime:
    """The platform under a Keras model.

    Attributes:
        backend: "tensorflow", "jax" or "torch".
        version: of the backend.
        device: "cpu" or "gpu".
        tensorfloat32: whether products of float32 take their operands rounded to tensorfloat32.
        short_sums: whether partial sums of 16-bit products may be rounded to 16 bits.
    """

    backend: str
    version: str
    device: str
    tensorfloat32: bool = False
    short_sums: bool = False

    def precision(self, compute: str, variables: str) -> Precision:
        """That of a layer here."""
        return Precision(compute, variables, self.tensorfloat32, self.short_sums)

    def __str__(self) -> str:
        return f"{BACKENDS.get(self.backend, self.backend)} {self.version} on {self.device}"


def current_runtime() -> Runtime:
    """What Keras computes with in this process, as it is set now."""
    import keras

    known = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    backend = keras.backend.backend()
    return known[backend]() if backend in known else Runtime(backend, "", "cpu")


def _tensorflow() -> Runtime:
    import tensorflow as tf

    gpu = bool(tf.config.list_logical_devices("GPU"))
    return _runtime("tensorflow", tf.__version__, gpu, tf.config.experimental.tensor_float_32_execution_enabled())


def _jax() -> Runtime:
    import jax

    precision = jax.config.jax_default_matmul_precision
    rounds = precision in (None, "default", "fastest", "tensorfloat32", "high")
    return _runtime("jax", jax.__version__, jax.default_backend() == "gpu", rounds)


def _torch() -> Runtime:
    import torch

    return _runtime("torch", torch.__version__, torch.cuda.is_available(), torch.backends.cuda.matmul.allow_tf32)


def _runtime(backend: str, version: str, gpu: bool, rounds: bool) -> Runtime:
    # Only GPUs have products in tensorfloat32; the setting alone says nothing.
    return Runtime(backend, version, "gpu" if gpu else "cpu", tensorfloat32=gpu and rounds, short_sums=gpu)
