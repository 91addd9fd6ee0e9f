"""A process that serves, for `served.py`: python serving.py SERVER PORT.

SERVER is `outer`, joblot's own, or one of those it was measured against (bets/servers.md).
"""

from __future__ import annotations

import sys

from django.conf import settings

from joblot.standalone import setup

THREADS = 16


def main() -> None:
    server, port = sys.argv[1], int(sys.argv[2])
    setup(served=True)
    settings.ROOT_URLCONF = "serving_urls"
    if server.startswith("granian"):
        _granian(server, port)
    else:
        import uvicorn

        config = uvicorn.Config(
            application(server),
            host="127.0.0.1",
            port=port,
            access_log=False,
            log_level="warning",
            lifespan="auto" if server == "outer" else "off",
        )
        uvicorn.Server(config).run()


def application(server: str):
    setup(served=True)
    settings.ROOT_URLCONF = "serving_urls"
    if server in ("outer", "granian outer"):
        from joblot.server.process import Process

        return Process(THREADS)
    if server == "django asgi":
        from django.core.asgi import get_asgi_application

        return get_asgi_application()
    from django.core.wsgi import get_wsgi_application

    wsgi = get_wsgi_application()
    if server == "granian wsgi":
        return wsgi
    from a2wsgi import WSGIMiddleware

    return WSGIMiddleware(wsgi, workers=THREADS)


def granian_outer():
    return application("granian outer")


def granian_wsgi():
    return application("granian wsgi")


def _granian(server: str, port: int) -> None:
    from granian import Granian

    wsgi = server == "granian wsgi"
    Granian(
        f"serving:{server.replace(' ', '_')}",
        factory=True,
        address="127.0.0.1",
        port=port,
        interface="wsgi" if wsgi else "asgi",
        workers=1,
        log_enabled=False,
        **({"blocking_threads": THREADS} if wsgi else {}),
    ).serve()


if __name__ == "__main__":
    main()
