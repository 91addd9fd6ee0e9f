"""Where the pages are: `path("", include("joblot.urls"))` mounts them together with the API."""

from __future__ import annotations

from django.urls import path

from joblot.ledger.job.bulk import BULK
from joblot.ledger.read.acts import Act
from joblot.web import (
    acts,
    assets,
    bulk,
    enter,
    export,
    item,
    item_value,
    items,
    job,
    job_map,
    jobs,
    live,
    logs,
    prefer,
    revoke,
    sign_in,
    webhooks,
    workers,
)

app_name = "joblot_web"

urlpatterns = [
    path("", jobs.jobs, name="home"),
    path("jobs", jobs.jobs, name="jobs"),
    path("jobs/counts", jobs.job_counts, name="job_counts"),
    path("jobs/snapshots.json", live.many_snapshots, name="snapshots"),
    path("jobs/<int:job_id>", job.job, name="job"),
    path("jobs/<int:job_id>/items", items.items, name="items"),
    path("jobs/<int:job_id>/items.csv", export.as_csv, name="csv"),
    path("jobs/<int:job_id>/items.ndjson", export.as_json_lines, name="ndjson"),
    path("jobs/<int:job_id>/items/<int:number>", item.item, name="item"),
    path("jobs/<int:job_id>/items/<int:number>/value.json", item_value.value, name="item_value"),
    path("jobs/<int:job_id>/logs", logs.logs, name="logs"),
    path("jobs/<int:job_id>/logs/lines", logs.log_lines, name="log_lines"),
    path("jobs/<int:job_id>/logs.txt", logs.as_text, name="log_text"),
    path("jobs/<int:job_id>/logs.ndjson", logs.as_json_lines, name="log_ndjson"),
    path("workers", workers.workers, name="workers"),
    path("jobs/<int:job_id>/live", live.live, name="live"),
    path("jobs/<int:job_id>/snapshot.json", live.one_snapshot, name="snapshot"),
    path("jobs/<int:job_id>/map", job_map.map_page, name="map"),
    path("jobs/<int:job_id>/map.bin", job_map.map_bytes, name="map_bytes"),
    path("jobs/<int:job_id>/map/items/<int:number>", job_map.map_item, name="map_item"),
    *(
        path(f"jobs/<int:job_id>/{act.value}", acts.act, {"act": act}, name=act.value)
        for act in Act
    ),
    *(path(f"jobs/{act.value}", bulk.bulk, {"act": act}, name=f"{act.value}_jobs") for act in BULK),
    path("workers/revoke", revoke.revoke, name="revoke"),
    path("workers/restore", revoke.restore, name="restore"),
    path("webhooks", webhooks.webhooks, name="webhooks"),
    path("webhooks/deliveries/<int:delivery_id>/resend", webhooks.resend, name="resend"),
    path("sign-in", sign_in.sign_in, name="sign_in"),
    path("sign-out", sign_in.sign_out, name="sign_out"),
    path("enter/<str:secret>", enter.enter, name="enter"),
    path("preferences", prefer.prefer, name="prefer"),
    path("assets/<str:version>/<path:name>", assets.asset, name="asset"),
]
