"""The database: dialects, transactions, and statements written in SQL."""
