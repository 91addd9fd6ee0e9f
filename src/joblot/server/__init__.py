"""One process that serves: threads for the API, none for waiting clients, one for the sweep."""
