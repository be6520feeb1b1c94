"""How values are stored: JSON with metadata and views, arrays, files. Importing this registers them."""

from materializers.arrays import DetectorMaterializer, OutputsMaterializer, WindowMaterializer
from materializers.files import FilesMaterializer
from materializers.records import RecordMaterializer

__all__ = [
    "DetectorMaterializer",
    "FilesMaterializer",
    "OutputsMaterializer",
    "RecordMaterializer",
    "WindowMaterializer",
]
