"""A small crew for the demonstration; in production, `joblot worker` on any machine."""

import subprocess
import threading
from contextlib import contextmanager
from uuid import uuid4

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

from board.work import process, results
from joblot import failure, success
from joblot.worker import HttpClient


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        """Requests are not worth a line here."""


@contextmanager
def serving():
    """The project over HTTP, on a free port; in production any WSGI server, or `joblot serve`."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def token(name):
    made = ["joblot", "token", "create", name, "--scope", "work"]
    return subprocess.run(made, check=True, capture_output=True, text=True).stdout.split()[-1]


def work_over_http(url, secret, name):
    """Work on both stages until nothing is ready; returns how many results counted."""
    client, counted = HttpClient(url, secret), 0
    while leases := _claimed(client, name):
        for lease in leases:
            results = [_result(lease.pipeline, item) for item in lease.items]
            receipts = client.report(lease.token, results)
            counted += sum(one.receipt == "counted" for one in receipts)
    return counted


def die_at_work(url, secret):
    """Take a lease, and never be heard of again."""
    _claimed(HttpClient(url, secret), "died")


def _claimed(client, name):
    key = str(uuid4())
    pipelines = ["moths", "save"]
    return client.claim(pipelines, 16, job=None, worker=name, idempotency_key=key).leases


def _result(pipeline, item):
    try:
        if pipeline == "save":
            return success(item.id, results(item))
        output = process(item.payload)
        return success(item.id, output.value, output.metrics)
    except ValueError as error:
        return failure(item.id, error)
