"""The jobs' logs for adopters' code: a handler of `logging`, and the thread that writes."""
