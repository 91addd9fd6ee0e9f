"""The demo: count 1,797 real handwritten digits exactly, with four worker processes and faults.

`joblot demo` runs it. It is an ordinary Django app that uses joblot.
"""
