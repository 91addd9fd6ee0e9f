"""Real brokers, many processes, machines that die: `make test-distributed`."""
