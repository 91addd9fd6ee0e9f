"""The server process that `served.py` starts: python serving.py PORT.

With BENCH_POLLING in the environment it is not notified of work, as where LISTEN can't work.
"""

from __future__ import annotations

import os
import sys

import uvicorn
from django.conf import settings

from joblot.server.asgi import application
from joblot.standalone import setup


def main() -> None:
    setup(served=True)
    settings.ROOT_URLCONF = "serving_urls"
    if os.environ.get("BENCH_POLLING"):
        from joblot.dispatch import database

        database.can_listen = lambda conn: False
    config = uvicorn.Config(
        application(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
