"""Django's SQLite engine, with files that only their owner may open."""
