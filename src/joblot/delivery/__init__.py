"""Event handlers, and the removal of files from the storage, in processes that can be ended.

`supervisor` starts processes (`python -m joblot.delivery`, in `child`), which report their current
call over a pipe; it kills one whose call takes too long, and starts another.
"""
