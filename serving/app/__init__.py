"""The page for people: one image at a time, asked over HTTP, answered in plain words."""
