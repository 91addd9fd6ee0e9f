"""joblot in a Django project: `migrate`, `thumbnails`, and `joblot_worker --sweep`."""

import os

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line()
