"""Commands for the host that autovibe runs on; loaded by name only."""
