"""The only room of the core with Keras."""
