"""Report: results of a lease in, one receipt each out.

`report` is the verb; `group_commit` lets reports of many threads share a commit. Both settle what
is simple in one statement (`write`); `settlement` does the rest in a transaction: lock, read,
`judge`, write, with the adopter's `hooks`.
"""
