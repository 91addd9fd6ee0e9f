"""The worker of a Django project: `manage.py joblot_worker`. It calls the ledger directly."""
