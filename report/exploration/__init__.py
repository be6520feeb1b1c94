"""The exploration page: what the images are, before or after a training."""
