"""Studies made once, whose tables are in ``results/``."""
