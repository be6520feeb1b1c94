"""How values are stored: JSON with metadata and views, arrays, files. Importing this registers them."""

from materializers.arrays import ArraysMaterializer
from materializers.files import FilesMaterializer
from materializers.folders import FolderMaterializer
from materializers.plain import ArraysByNameMaterializer, TextMaterializer
from materializers.records import RecordMaterializer

__all__ = [
    "ArraysByNameMaterializer",
    "ArraysMaterializer",
    "FilesMaterializer",
    "FolderMaterializer",
    "RecordMaterializer",
    "TextMaterializer",
]
