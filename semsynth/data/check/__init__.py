"""Are files what they should be? What ``semsynth data check`` and every training look at."""
