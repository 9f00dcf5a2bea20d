"""The work domain."""
