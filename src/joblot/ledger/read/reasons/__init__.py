"""The reasons that `why` gives, by what they are about."""
