"""The demo: 1,797 real handwritten digits, four worker processes, faults on, and the count right.

`joblot demo`, or `python -m joblot.demo`. It is an ordinary Django app with joblot beside it.
"""
