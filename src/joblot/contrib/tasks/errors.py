"""Errors of tasks that failed without an exception of their function."""


class TaskLost(Exception):
    """The worker died, or froze, while it ran the task."""


class TaskCanceled(Exception):
    """The task's job was canceled before the task had finished."""
