"""What the pipeline batch_prediction answers, and what becomes of the answers."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from vision.config.base import Settings


class BatchSettings(Settings):
    """Pictures that a batch answers, and what is kept of the answers."""

    path: Path | None = Field(
        default=None, description="a picture, a folder, a CSV with a column of paths, or a ZIP"
    )
    boxes: Path | None = Field(
        default=None,
        description="MegaDetector's results or a COCO file, for a model that was taught what boxes hold",
    )
    top_k: int = Field(default=3, ge=1, le=1_000, description="most probable classes told of each picture")
    heat_maps: bool = Field(default=False, description="write what each answer was read from")
    log: bool = Field(
        default=False, description="write the answers into serve.log too, where monitoring reads them"
    )
