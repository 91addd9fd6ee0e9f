"""Event handlers, and the removal of files from the storage, in processes that can be ended.

`supervisor` starts `python -m joblot.delivery` (`child`), hears over a pipe which call each of them
is in, ends one whose call is too long, and starts another.
"""
