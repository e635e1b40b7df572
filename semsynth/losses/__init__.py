"""Losses, and the Ranger optimizer."""
