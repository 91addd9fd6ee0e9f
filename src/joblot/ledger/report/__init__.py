"""Report: results of a lease in, one receipt each out.

`report` is the verb. It settles what is simple by functions of the database (`at_once`);
`settlement` does the rest in a transaction: lock, read, `judge`, write, with the adopter's `hooks`.
"""
