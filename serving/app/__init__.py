"""The page for people: one image at a time, asked over HTTP, answered in plain words."""

HOME_VARIABLE = "TAXON_PAGE_HOME"
"""Environment variable that tells the page's script the folder that holds `state`."""
