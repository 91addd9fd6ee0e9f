"""A storage that hangs or fails when it removes a file, in real processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.test import override_settings

from joblot import config
from joblot.ledger.claim.claim import claim
from joblot.ledger.job.lifecycle import cancel, delete
from joblot.ledger.maintain.sweep import sweep
from joblot.ledger.read.health import health
from joblot.ledger.submit.submit import submit
from joblot.models import StoredOutput
from tests.delivery.shop import Shop, finished
from tests.delivery.test_supervisor import healthy
from tests.ledger import worker
from tests.ledger.worker import keys, status, succeed
from tests.polling import eventually
from tests.proc import alive

MakeShop = Callable[..., Shop]
INLINE_MAX = {"output_bytes_inline_max": 100}


@contextmanager
def stored_in(shop: Shop) -> Iterator[None]:
    """Inside the block, this process stores large outputs where the shop does."""
    files = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(shop.media)},
    }
    config.configure(INLINE_MAX)
    with override_settings(STORAGES={"default": files}):
        yield
    config.configure({})


def removed_with_files(shop: Shop, files: int) -> None:
    """A deleted job whose large outputs' files are not removed yet."""
    with stored_in(shop):
        job = submit("large", keys(files), pipeline="large")
        for number, lease in enumerate(worker.lease("large", limit=1) for _ in range(files)):
            assert succeed(lease, output={"n": number, "text": "x" * 100}) == ["counted"]
    assert len(shop.files()) == files
    delete(job.pk)


def test_a_storage_that_hangs_forever_delays_nothing_but_its_own_files(
    make_shop: MakeShop, saved: Callable[[], dict[str, str]]
) -> None:
    shop = make_shop("Hanging", output_removal_seconds_max=2, output_removal_retry_seconds=0.1)
    removed_with_files(shop, 2)
    server = shop.start("serve", "--port", "0")
    first = shop.hanging()
    assert first != server.pid
    assert healthy(shop)

    other = finished("other")
    submit("dead", keys(1), pipeline="dead", policy={"lease_seconds": 0.05})
    assert claim("dead").leases
    canceled = submit("cancelled", keys(1), pipeline="cancelled")
    assert claim("cancelled").leases
    cancel(canceled.pk, grace_seconds=0.05)
    eventually(lambda: claim("dead").leases)  # its first lease has expired
    eventually(lambda: status(canceled) == "REVOKED")
    eventually(lambda: str(other) in saved())  # handlers are still called
    assert healthy(shop)

    eventually(lambda: not alive(first))
    assert shop.hanging() != first
    eventually(lambda: "has not returned for 2 s" in shop.said)
    assert "removal of joblot/outputs/" in shop.said
    assert len(shop.files()) == 2
    shop.mend()
    eventually(lambda: not shop.files())
    eventually(lambda: not StoredOutput.objects.exists())
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0


def outputs_check() -> tuple[bool, str]:
    (check,) = (one for one in health() if one["check"] == "outputs")
    return check["ok"], check["found"]


def test_a_removal_that_hangs_is_named_by_doctor_and_its_process_ends_with_the_supervisor(
    make_shop: MakeShop,
) -> None:
    shop = make_shop("Hanging", output_removal_seconds_max=60)
    removed_with_files(shop, 1)
    process = shop.start("sweep", "--forever")
    pid = shop.hanging()
    (name,) = StoredOutput.objects.values_list("name", flat=True)
    message = f"removal of {name}: try 1 has not returned since 20"
    eventually(lambda: message in outputs_check()[1])
    assert not outputs_check()[0]
    process.kill()
    eventually(lambda: not alive(pid))


@pytest.mark.parametrize("command", ["sweep", "deliver"])
def test_once_removes_what_is_marked_and_ends(make_shop: MakeShop, command: str) -> None:
    shop = make_shop(None)
    removed_with_files(shop, 3)
    sweep()  # marks them without calling the storage
    assert len(shop.files()) == 3
    process = shop.start(command, "--json")
    assert '"files_removed": 3' in process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert shop.files() == []


def test_once_ends_where_the_storage_hangs(make_shop: MakeShop) -> None:
    shop = make_shop("Hanging", output_removal_seconds_max=1, output_removal_retry_seconds=600)
    removed_with_files(shop, 3)
    process = shop.start("sweep", "--json")
    assert '"files_removed": 0' in process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert len(shop.files()) == 3


def test_a_file_that_can_not_be_removed_is_tried_again_and_keeps_no_other(
    make_shop: MakeShop,
) -> None:
    shop = make_shop("Failing", output_removal_retry_seconds=0.1)
    removed_with_files(shop, 2)
    shop.start("serve", "--port", "0")
    eventually(lambda: shop.said.count("removal of joblot/outputs/") >= 4)
    assert "the bucket is locked" in shop.said
    assert "the bucket is locked" in outputs_check()[1]
    assert healthy(shop)
    shop.mend()
    eventually(lambda: not shop.files())
