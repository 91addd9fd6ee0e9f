"""What the tools call for each item. A copy of this file is in the folder of each measurement.

Each call appends a line to `calls`, in one write: the item and the process, so that calls can be
counted, and that process killed.
"""

import os
import time

_files = {}  # of each process: one that is forked opens its own


def trivial(item):
    """Nothing but the note that it was called."""
    note(item)
    return item


def waiting(item):
    """20 ms without the processor, as for a disk or a service."""
    time.sleep(0.02)
    note(item)
    return item


def note(item):
    process = os.getpid()
    if process not in _files:
        _files[process] = os.open("calls", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_files[process], f"{item} {process}\n".encode())
