"""Checks of data files, by ``semsynth data check`` and before every training."""
