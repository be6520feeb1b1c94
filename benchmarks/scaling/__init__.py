"""Many images: painted, read, answered, measured; what a network costs an image."""
