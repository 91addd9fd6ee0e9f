"""Why a task failed, where no exception of its function says it."""


class TaskLost(Exception):
    """The worker died, or froze, while it ran the task."""


class TaskCanceled(Exception):
    """The task's job was canceled before the task had finished."""
