"""The checkpoints domain."""
