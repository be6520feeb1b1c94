"""From a picture to the answer about it."""
