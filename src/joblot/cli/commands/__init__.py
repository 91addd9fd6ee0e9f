"""The commands, one file for each group. They are thin and contain no queries."""
