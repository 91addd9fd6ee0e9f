"""Rows and how each is read and written, for the verbs: no verb is here."""
