"""Maintenance: the sweep, events, removal of files, repair."""
