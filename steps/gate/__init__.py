"""Steps of the gate and the registry."""
