"""The life of the service: Bento, start, stop, deployment."""
