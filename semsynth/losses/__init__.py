"""Losses, and the optimizer that PyTorch does not have."""
