"""Labelled images made to order: what is drawn, how it is judged, and how it is written."""
