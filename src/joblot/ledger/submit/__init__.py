"""Submitting: making a job, adding its items, sealing it."""
