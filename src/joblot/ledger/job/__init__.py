"""What happens to a job as a whole: its states, its end, its removal."""
