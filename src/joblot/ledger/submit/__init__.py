"""Submitting: a job, its items, and its seal."""
