"""Reading and writing rows, for the verbs. Contains no verb itself."""
