"""What many pictures cost: read, compared, searched, answered."""
