"""System checks: what a project must have so that joblot's promises hold."""
