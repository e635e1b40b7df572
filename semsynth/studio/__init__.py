"""The studio: all three methods by hand, in a browser. One file per tab."""
