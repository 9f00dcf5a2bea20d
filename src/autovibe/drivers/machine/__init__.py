"""Machine drivers, and what those that start local processes share."""
