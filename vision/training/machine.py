"""What depends on the machine is settled before a run starts, and stands in the settings that steps read.

TensorFlow is not imported: this runs in the launcher.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vision.config.training import UNREAD, CandidateSettings

MIXED_PRECISION = "mixed_precision"
GPU_BUILD = "tensorflow"
"""The distribution that can use a GPU; tensorflow-cpu cannot, and float16 is slow on a CPU."""

_TRACES = ("proc/driver/nvidia/version", "dev/nvidia0", "dev/nvidiactl")


def gpu_present(root: Path = Path("/"), build: str = GPU_BUILD) -> bool:
    """Whether there is an NVIDIA driver or device below `root`, and a TensorFlow that can use it."""
    return any((root / trace).exists() for trace in _TRACES) and _is_installed(build)


def settle_precision(settings: CandidateSettings, *, gpu: bool) -> CandidateSettings:
    """The candidate with `mixed_precision` filled in: with a GPU, if it reads it and nobody has said."""
    read = MIXED_PRECISION not in UNREAD[settings.strategy]
    if not gpu or not read or MIXED_PRECISION in settings.model_fields_set:
        return settings
    return settings.model_copy(update={MIXED_PRECISION: True})


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
