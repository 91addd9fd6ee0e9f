"""Real Celery workers, and a real Redis as broker and result back-end."""
