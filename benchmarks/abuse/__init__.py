"""What hostile clients can do to the service."""
