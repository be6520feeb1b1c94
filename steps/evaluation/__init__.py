"""Steps that measure and compare."""
