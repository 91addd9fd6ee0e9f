"""Run the whole platform in one process: the server, both kinds of workers, the sweep."""

import time
from concurrent.futures import ThreadPoolExecutor

from django.core.management import BaseCommand

from board.crew import die_at_work, serving, token, work_over_http
from board.dispatch import dispatch
from board.fleet import work_off
from board.models import Detection, Image, Occurrence, Survey
from board.render import render_running
from joblot import progress
from joblot.maintenance import deliver, sweep


class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("--images", type=int, default=5000)

    def handle(self, *, images, **options):
        survey = Survey.objects.create(name="night of 12 May")
        Image.objects.bulk_create(
            Image(survey=survey, url=f"https://images.test/{n}{'' if n % 50 else '-broken'}.jpg")
            for n in range(1, images + 1)
        )
        job = dispatch(survey.pk, lease_seconds=2)
        assert job == dispatch(survey.pk, lease_seconds=2), "Celery may deliver a task twice"
        counted, by_fleet = self.work(job)
        deliver()
        survey.refresh_from_db()
        self.say(f"over HTTP {counted} results counted, the fleet processed {by_fleet} images")
        self.say(f"the old page: {survey.status}, {survey.progress['summary']['progress']:.0%}")
        for stage in survey.progress["stages"]:
            counts = ", ".join(f"{one['key']} {one['value']}" for one in stage["params"])
            self.say(f"{stage['key']}: {counts}")
        rows = f"{Detection.objects.count()} detections, {Occurrence.objects.count()} occurrences"
        self.say(f"rows: {rows}")

    def work(self, job):
        """Until the job ends. One worker dies at its work: the sweep gives its images to others."""
        http = 0
        with serving() as url, ThreadPoolExecutor() as threads:
            mine, theirs = token("http"), token("fleet")
            die_at_work(url, mine)
            fleet = work_off(url, theirs, polls_max=1)
            while not progress(job)["finished_at"]:
                crew = threads.submit(work_over_http, url, mine, "gpu-1")
                older = threads.submit(work_off, url, theirs)
                http, fleet = http + crew.result(), fleet + older.result()
                sweep()
                render_running()
                time.sleep(0.2)
        return http, fleet

    def say(self, line):
        self.stdout.write(line)
