"""What a run writes while it goes on: its outputs (`--out`) and its log of items (`--joblog`)."""
