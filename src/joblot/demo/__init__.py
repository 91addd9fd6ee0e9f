"""The demo: 1,797 real handwritten digits, four worker processes, faults on, and the count right.

`joblot demo` runs it. It is an ordinary Django app with joblot beside it.
"""
