"""Claiming: which job, which of its ranges, and the lease on them."""
