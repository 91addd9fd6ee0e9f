"""Where the pages are: `path("", include("joblot.urls"))` mounts them together with the API."""

from __future__ import annotations

from django.urls import path

from joblot.web import assets, enter, export, item, items, job, jobs, prefer, sign_in, workers

app_name = "joblot_web"

urlpatterns = [
    path("", jobs.jobs, name="home"),
    path("jobs", jobs.jobs, name="jobs"),
    path("jobs/counts", jobs.job_counts, name="job_counts"),
    path("jobs/<int:job_id>", job.job, name="job"),
    path("jobs/<int:job_id>/items", items.items, name="items"),
    path("jobs/<int:job_id>/items.csv", export.as_csv, name="csv"),
    path("jobs/<int:job_id>/items.ndjson", export.as_json_lines, name="ndjson"),
    path("jobs/<int:job_id>/items/<int:number>", item.item, name="item"),
    path("workers", workers.workers, name="workers"),
    path("sign-in", sign_in.sign_in, name="sign_in"),
    path("sign-out", sign_in.sign_out, name="sign_out"),
    path("enter/<str:secret>", enter.enter, name="enter"),
    path("preferences", prefer.prefer, name="prefer"),
    path("assets/<str:version>/<path:name>", assets.asset, name="asset"),
]
