"""Sources whose rows name the images: a CSV file, or a table of a database."""
