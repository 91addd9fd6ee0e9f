"""Readers. None of them writes."""
