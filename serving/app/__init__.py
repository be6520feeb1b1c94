"""The page for people: pictures are asked over HTTP and answered in plain words."""

HOME_VARIABLE = "TAXON_PAGE_HOME"
"""Environment variable that tells the page's script the folder that holds `state`."""
