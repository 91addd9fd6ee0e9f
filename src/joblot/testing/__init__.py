"""Test support, for adopters and for joblot itself."""
