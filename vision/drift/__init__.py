"""Whether the answers of a window still come from images like those of calibration."""
