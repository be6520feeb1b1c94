"""How MLflow asks a model that was taken away; it copies this file, so nothing of the project is imported.

`mlflow.pyfunc.load_model("models:/my-fish@champion").predict(["photo.jpg"])`
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class Pictures(PythonModel):
    """Answers to pictures, by the `predict.py` that lies with the model."""

    _program: Any = None

    def load_context(self, context: PythonModelContext) -> None:
        """Load graph, arrays and rule."""
        spec = spec_from_file_location("taken_away", Path(context.artifacts["model"]) / "predict.py")
        if spec is None or spec.loader is None:
            raise ImportError("predict.py does not lie with the model; register it again.")
        self._program = module_from_spec(spec)
        spec.loader.exec_module(self._program)

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: list[str],
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> list[Mapping[str, Any]]:
        """Decision, class, confidence and unknown score of each file; of one that cannot be read, why."""
        return [self._tell(path) for path in model_input]

    def _tell(self, path: str) -> Mapping[str, Any]:
        try:
            return {"picture": path, **self._program.answer(path)}
        except (OSError, ValueError, self._program.ImageCms.PyCMSError) as error:
            return {"picture": path, "decision": "unreadable", "reason": str(error)}


set_model(Pictures())
