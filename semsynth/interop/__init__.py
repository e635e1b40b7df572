"""Official checkpoints to ours: one file for a kind of network, and readers of their formats."""
