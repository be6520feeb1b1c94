"""The exported graphs, and the bundle that is served."""
