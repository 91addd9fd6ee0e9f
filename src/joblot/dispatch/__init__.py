"""How work reaches those who wait for it."""
