"""The HTTP API: its verbs are the ledger's. `path("", include("joblot.api.urls"))` mounts it."""
