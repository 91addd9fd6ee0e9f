"""joblot keeps the count of big jobs right."""
