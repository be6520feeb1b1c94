"""The page in Debian's Chromium, as a person uses it, against the real service."""
