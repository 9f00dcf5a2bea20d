"""Sealing of the audit trail, and the log of maintenance jobs."""
