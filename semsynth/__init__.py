"""Semantic image synthesis with little or no labelled data.

Nothing is imported here, so that ``semsynth --help`` answers without loading torch.
"""

__version__ = "0.1.0"
