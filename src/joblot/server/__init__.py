"""One process that serves: the API by threads, waiting by none, and the sweep."""
