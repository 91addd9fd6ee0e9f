"""`manage.py joblot_worker` and `manage.py joblot_sweep`."""
