"""Webhooks: signed events for receivers over HTTP, sent again until they are acknowledged.

`spread` writes a delivery for each receiver, in the outbox's transaction; `sender` posts what is
due, outside any transaction. `receiver` is for the receiver's side, and needs no Django.
"""
