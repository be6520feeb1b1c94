"""Steps that run a network in Keras."""
