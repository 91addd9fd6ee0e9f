"""For adopters and for joblot itself: what tests need."""
