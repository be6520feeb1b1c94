"""Chunks of work on the processes of this machine or of a cluster."""
