"""Pictures of records: one restrained style, legible at 700 pixels, titles that state what is seen."""

from report.figures.views import Views, draw_views

__all__ = ["Views", "draw_views"]
