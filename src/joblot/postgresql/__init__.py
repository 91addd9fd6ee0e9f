"""The database engine of joblot's own processes, for Django: `"ENGINE": "joblot.postgresql"`."""
