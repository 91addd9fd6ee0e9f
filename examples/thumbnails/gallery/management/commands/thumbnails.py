from django.core.management import BaseCommand

from joblot import submit


class Command(BaseCommand):
    def handle(self, **options):
        photos = ({"key": f"{n}.jpg", "payload": {"width": n}} for n in range(1000, 1100))
        job = submit("thumbnails", photos, pipeline="shrink")
        self.stdout.write(f"job {job.pk}: {job.total} photos")
