"""Callers: tokens, what they may do, and the workers that use them."""
