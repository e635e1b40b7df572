"""Pictures of what ships, and of the toy worlds."""
