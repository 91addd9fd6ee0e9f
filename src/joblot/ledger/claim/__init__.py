"""Claiming: choosing a job and its ranges, and granting a lease on them."""
