"""What runs: workers, machines, checkpoints while an agent works."""
