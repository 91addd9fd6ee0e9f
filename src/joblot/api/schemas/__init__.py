"""The shapes of requests and answers, as in OpenAPI. Fields may be added, never renamed."""
