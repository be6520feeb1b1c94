"""Every setting: type, bounds, default; one module a room. Frozen, unknown keys refused."""
