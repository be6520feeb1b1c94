"""How values are stored: JSON with metadata and views, arrays, files. Importing this registers them."""

from materializers.arrays import ArraysMaterializer
from materializers.files import FilesMaterializer
from materializers.records import RecordMaterializer

__all__ = ["ArraysMaterializer", "FilesMaterializer", "RecordMaterializer"]
