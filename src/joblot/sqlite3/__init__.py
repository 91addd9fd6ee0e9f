"""A database engine for Django: its own, with files that only their owner may open."""
