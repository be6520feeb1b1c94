"""From a source to decoded images, groups and splits."""
