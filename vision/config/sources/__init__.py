"""The settings of the sources of images, and their names."""
