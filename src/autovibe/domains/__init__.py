"""The domains: what each one decides stands in its service, and nowhere else."""
