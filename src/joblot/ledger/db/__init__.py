"""The database: its dialects, transactions, and the statements written in SQL."""
