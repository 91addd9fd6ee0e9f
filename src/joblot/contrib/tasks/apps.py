"""The Django app. It has no tables; `joblot_worker` finds its `work.py`, which runs the tasks."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    name = "joblot.contrib.tasks"
    label = "joblot_tasks"  # a project may have its own app "tasks"
    verbose_name = "joblot: tasks"
