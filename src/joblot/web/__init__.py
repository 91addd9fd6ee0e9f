"""joblot's pages for people. They read by the ledger's readers and act by its verbs."""
