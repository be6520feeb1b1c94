"""Steps from a source to splits."""
