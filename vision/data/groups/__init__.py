"""What belongs together: groups by name, by equal bytes and by looks."""
