"""A job as a whole: its status, its end, its removal."""
