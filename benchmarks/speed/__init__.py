"""Speed of vectorised parts as a ratio to naive ones, measured in one run."""
