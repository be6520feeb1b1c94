"""The last layer's kernel and bias, in a file beside the graphs."""

from __future__ import annotations

from pathlib import Path

from vision.base.arrays import pack_arrays, unpack_arrays
from vision.base.record import FloatArray

HEAD_NAME = "head.npz"


def pack_head(kernel: FloatArray, bias: FloatArray) -> bytes:
    """The bytes of `head.npz` for a kernel (d, k) and a bias (k,)."""
    return pack_arrays({"kernel": kernel, "bias": bias})


def unpack_head(path: Path) -> tuple[FloatArray, FloatArray]:
    """Kernel (d, k) and bias (k,), float32.

    Raises:
        BundleError: the file is damaged.
    """
    arrays = unpack_arrays(path)
    return arrays["kernel"], arrays["bias"]
