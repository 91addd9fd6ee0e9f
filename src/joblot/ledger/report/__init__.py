"""Reporting: results in, one receipt for each."""
