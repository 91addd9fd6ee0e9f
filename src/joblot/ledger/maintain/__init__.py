"""What is done in time, whoever does it: the sweep, events, repair."""
