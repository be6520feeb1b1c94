"""The service: it comes with the second half of the spine."""
