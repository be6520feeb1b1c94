"""What a file's bytes are, and how they become an eight-bit sRGB picture."""
