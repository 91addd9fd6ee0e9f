"""Optional parts. Nothing in joblot imports them: settings and URLs name them by their path."""
