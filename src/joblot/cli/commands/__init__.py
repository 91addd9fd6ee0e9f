"""The commands, a file for each group: thin, without a query."""
