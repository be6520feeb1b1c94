"""How a network is fitted: batches, losses, phases, strategies, checkpoints."""
