from django.apps import AppConfig


class Board(AppConfig):
    name = "board"

    def ready(self):
        from board import hooks  # noqa: F401, PLC0415 (registers them, once the models are there)
