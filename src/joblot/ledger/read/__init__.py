"""Readers. They never write."""
