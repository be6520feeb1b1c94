"""Packages beyond requirements.txt that a configuration asks for."""

from __future__ import annotations

from importlib.util import find_spec

from vision.base.errors import ConfigError
from vision.config.run import RunConfig


def check_extras(config: RunConfig) -> None:
    """Refuse a training that would need a package that is not installed.

    Raises:
        ConfigError: one is missing.
    """
    asked = {
        "tracking": ("mlflow",) if config.tracking == "mlflow" else (),
        "export.onnx": ("onnx", "tf2onnx", "onnxruntime") if config.export.onnx else (),
    }
    for key, packages in asked.items():
        missing = [name for name in packages if find_spec(name) is None]
        if missing:
            raise ConfigError(
                f"{key} needs {', '.join(missing)}, which is not installed. Type: "
                f"pip install -r requirements-extras.txt; or remove {key} from the config."
            )
