"""What Django asks of an app with commands."""
