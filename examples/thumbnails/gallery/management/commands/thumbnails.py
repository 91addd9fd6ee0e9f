from django.core.management import BaseCommand

from gallery.models import Thumbnail
from joblot import claim, progress, report, submit, success
from joblot.maintenance import deliver, sweep


class Command(BaseCommand):
    def handle(self, **options):
        photos = ({"key": f"{n}.jpg", "payload": {"width": n}} for n in range(1000, 1100))
        job = submit("thumbnails", photos, pipeline="shrink")
        while leases := claim("shrink", limit=16).leases:  # any number of processes may do this
            (lease,) = leases
            done = [success(item.id, {"width": item.payload["width"] // 8}) for item in lease.items]
            report(lease.token, done)
        sweep()  # in production `joblot serve` or `joblot sweep --forever`, which also deliver
        deliver()
        state = progress(job.pk)
        self.stdout.write(
            f"{state['status']} {state['percent']} % {Thumbnail.objects.count()} rows"
        )
