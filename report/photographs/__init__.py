"""Photographs in pages and terminals: small copies, sheets, those that the report shows first."""
