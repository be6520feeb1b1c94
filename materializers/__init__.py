"""How values are stored: JSON with metadata and a view, arrays, files."""
