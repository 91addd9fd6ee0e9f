"""Webhooks: events for receivers elsewhere, signed, and sent again until they are answered.

`spread` writes a delivery for each receiver, in the outbox's transaction; `sender` posts what is
due, outside any. `receiver` is for the other side, and needs no Django.
"""
