"""Networks, free of Lightning and of paths."""
