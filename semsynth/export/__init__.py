"""Synthetic labelled data sets: generation, filtering and writing."""
