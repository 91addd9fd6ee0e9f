import json

from celery import Task
from django.core.cache import cache
from django.db import transaction

from .app import app
from .models import Batch, Order


@app.task(bind=True)
def ship(self, order_id):
    order = Order.objects.get(pk=order_id)
    order.status = "shipped"  # finds JL102
    order.save()


@app.task
def count(batch_id, n):
    batch = Batch.objects.get(pk=batch_id)
    counts = json.loads(batch.counts)
    counts["done"] += n
    batch.counts = json.dumps(counts)  # finds JL101
    batch.save(update_fields=["counts"])


@app.task
def count_under_a_lock(batch_id, n):
    with cache.lock(f"batch:{batch_id}"):
        batch = Batch.objects.get(pk=batch_id)
        counts = json.loads(batch.counts)
        counts["done"] += n
        batch.counts = json.dumps(counts)
        batch.save(update_fields=["counts"])


@app.task
def count_by_version(batch_id, n):
    batch = Batch.objects.get(pk=batch_id)
    counts = json.loads(batch.counts)
    counts["done"] += n
    changed = Batch.objects.filter(pk=batch_id, version=batch.version).update(
        counts=json.dumps(counts), version=batch.version + 1
    )
    return changed == 1


class Close(Task):
    def run(self, batch_id):
        with transaction.atomic():
            batch = Batch.objects.select_for_update().get(pk=batch_id)
            batch.status = "closed"
            batch.save(update_fields=["status"])
        self.tell(batch)
        batch.status = "told"  # finds JL102
        batch.save(update_fields=["status"])

    def tell(self, batch):
        ship.delay(batch.pk)
