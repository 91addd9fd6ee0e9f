"""The printed link: this machine's user gets in by a secret that only they can read.

It grants what the local token grants, and only where the local token is accepted: no address, no
proxy and no foreign page can take its place. The link works once; the redirect takes it out of the
address bar, and no page sends it on as a referrer.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.http import require_GET

from joblot import local
from joblot.entry import take_entry
from joblot.errors import NotAllowed
from joblot.identity.local import local_mark
from joblot.web.page import open_page
from joblot.web.paths import next_path
from joblot.web.visitor import LOCAL_SESSION, is_here


@open_page
@require_GET
def enter(request: HttpRequest, secret: str) -> HttpResponseBase:
    """Begin a session of this machine's user, and go to `next` or the jobs. Raises NotAllowed."""
    mark = local_mark()
    accepts = is_here(request) and mark is not None
    if not accepts or not take_entry(Path(os.environ[local.ACCEPTED]), secret):
        raise NotAllowed(
            "this link was used already, is too old, or is not of this server; "
            "`joblot open` prints a new one"
        )
    request.session.flush()
    request.session[LOCAL_SESSION] = mark
    response = HttpResponseRedirect(next_path(request))
    response["Referrer-Policy"] = "no-referrer"
    return response
