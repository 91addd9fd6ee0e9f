"""The Django database engine of joblot's own processes: `"ENGINE": "joblot.postgresql"`."""
