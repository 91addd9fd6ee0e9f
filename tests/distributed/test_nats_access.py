"""NATS servers that authenticate and encrypt, and several of them: a real nats-server for each."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from joblot.dispatch.broker import Broker
from joblot.errors import Unavailable
from joblot.identity.tokens import issue
from joblot.ledger.read.progress import progress
from joblot.ledger.submit.submit import submit
from joblot.states import NoLease
from joblot.wire import Claim, success
from joblot.worker.nats_address import NatsAddress
from joblot.worker.nats_client import NatsClient
from joblot.worker.nats_connection import NatsConnection
from tests.dispatch.dispatching import Dispatching
from tests.dispatch.nats_server import NatsServer
from tests.distributed.nats_operator import Operator
from tests.ledger.conftest import configure, exact, own_hooks
from tests.ledger.worker import keys
from tests.polling import eventually
from tests.ports import kept
from tests.server.conftest import local

__all__ = ["configure", "exact", "local", "own_hooks"]

pytestmark = pytest.mark.timeout(400)  # on a machine that does much else
BATCH = 4
WAIT_SECONDS = 10.0
USERS = 'authorization { users: [ { user: "joblot", password: "p:w@d" } ] }'
TOKEN = 'authorization { token: "se/cret" }'
CERTIFY = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    " -subj /CN=joblot -addext subjectAltName=IP:127.0.0.1"
)
TLS = 'tls { cert_file: "%(cert)s", key_file: "%(key)s" }'

Access = Callable[[Path], tuple[str, Callable[[int], NatsAddress]]]


def by_password(folder: Path) -> tuple[str, Callable[[int], NatsAddress]]:
    return USERS, lambda port: NatsAddress.parsed(f"nats://joblot:p%3Aw%40d@127.0.0.1:{port}")


def by_token(folder: Path) -> tuple[str, Callable[[int], NatsAddress]]:
    return TOKEN, lambda port: NatsAddress.parsed(f"nats://se%2Fcret@127.0.0.1:{port}")


def by_credentials(folder: Path) -> tuple[str, Callable[[int], NatsAddress]]:
    pytest.importorskip("nkeys")
    operator = Operator()
    file = operator.write_user(folder / "user.creds")
    return operator.config, lambda port: NatsAddress.parsed(f"nats://127.0.0.1:{port}", str(file))


def over_tls(folder: Path) -> tuple[str, Callable[[int], NatsAddress]]:
    """With an authority that SSL_CERT_FILE names."""
    files = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    subprocess.run(
        [*CERTIFY.split(), "-keyout", files["key"], "-out", files["cert"]],
        check=True,
        capture_output=True,
    )
    return TLS % files, lambda port: NatsAddress.parsed(f"tls://127.0.0.1:{port}")


@pytest.mark.parametrize("access", [by_password, by_token, by_credentials, over_tls])
def test_a_dispatcher_and_a_worker_where_nats_authenticates(
    postgres_only: str,
    local: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    access: Access,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    config, address_at = access(tmp_path)
    token, _ = issue("worker", ["work"])
    job = submit("authenticated", keys(BATCH), pipeline="p").pk
    with NatsServer(tmp_path, config) as server, ExitStack() as open_:
        address = address_at(server.start().port)
        open_.enter_context(Dispatching(address, "p", items=BATCH, window=1)).until_up()
        stranger = open_.enter_context(NatsClient(server.address, "", token, "stranger"))
        if access is not over_tls:
            refused = stranger._connection
            eventually(lambda: "Authorization Violation" in refused.error)
            assert not refused.is_up
        worker = open_.enter_context(NatsClient(address, "", token, "worker"))
        (lease,) = eventually(lambda: next_claim(worker).leases)
        worker.report(lease.token, [success(item.id) for item in lease.items])
        assert progress(job)["status"] == "SUCCESS"


def test_credentials_that_have_expired_may_be_replaced(tmp_path: Path) -> None:
    """NATS ends the connection, and its client gives up: a new one reads the file again."""
    pytest.importorskip("nkeys")
    operator, file = Operator(), tmp_path / "user.creds"
    with NatsServer(tmp_path, operator.config) as server:
        server.start()
        operator.write_user(file, seconds=5)
        address = NatsAddress.parsed(server.url, str(file))
        connection = NatsConnection(address)
        try:
            eventually(lambda: connection.is_up)
            eventually(lambda: not connection.is_up)
            operator.write_user(file)
            eventually(lambda: connection.is_up)
        finally:
            connection.close()


@pytest.mark.parametrize("content", ["", "not credentials", "-----BEGIN USER NKEY SEED-----\nx\n"])
def test_a_file_that_holds_no_credentials_may_be_replaced(tmp_path: Path, content: str) -> None:
    pytest.importorskip("nkeys")
    operator, file = Operator(), tmp_path / "user.creds"
    file.write_text(content)
    with NatsServer(tmp_path, operator.config) as server:
        address = NatsAddress.parsed(server.start().url, str(file))
        connection = NatsConnection(address)
        try:
            eventually(lambda: connection.error != "not connected yet")
            asyncio.run(_dispatcher_connects(address, lambda: operator.write_user(file)))
            eventually(lambda: connection.is_up)
        finally:
            connection.close()


async def _dispatcher_connects(address: NatsAddress, mend: Callable[[], object]) -> None:
    """Once it has failed, and `mend` was called."""
    broker = Broker(address, ["p"])
    running = asyncio.create_task(broker.run())
    try:
        await asyncio.to_thread(eventually, lambda: not broker.error.endswith("not connected yet"))
        mend()
        await asyncio.to_thread(eventually, lambda: broker.is_up)
    finally:
        broker.end()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def test_a_lease_is_worked_on_though_its_grant_can_not_be_acknowledged(
    postgres_only: str, local: None, tmp_path: Path
) -> None:
    """NATS redelivers the grant, but the worker has its lease already: nobody else gets it."""
    token, _ = issue("worker", ["work"])
    job = submit("unacknowledged", keys(BATCH), pipeline="p").pk
    with NatsServer(tmp_path) as server, ExitStack() as open_:
        server.start()
        open_.enter_context(Dispatching(server.address, "p", items=BATCH, window=1)).until_up()
        worker = open_.enter_context(Disconnected(server.address, "", token, "worker"))
        (lease,) = eventually(lambda: next_claim(worker).leases)
        eventually(lambda: worker._connection.is_up)
        worker.report(lease.token, [success(item.id) for item in lease.items])
        assert progress(job)["status"] == "SUCCESS"


class Disconnected(NatsClient):
    """Loses its connection just after a lease was taken, as by credentials that expire."""

    def _ask(self, token: str, dispatcher: str) -> str:
        until = super()._ask(token, dispatcher)
        lost = self._connection
        asyncio.run_coroutine_threadsafe(lost._client.close(), lost._loop).result()
        return until


def test_if_one_of_several_servers_is_down_another_is_used(
    postgres_only: str, local: None, tmp_path: Path
) -> None:
    token, _ = issue("worker", ["work"])
    submit("available", keys(2 * BATCH), pipeline="p")
    with NatsServer(tmp_path) as server, ExitStack() as open_:
        unused = open_.enter_context(kept())
        address = NatsAddress.parsed(f"nats://127.0.0.1:{unused},{server.start().url}")
        open_.enter_context(Dispatching(address, "p", items=BATCH, window=1)).until_up()
        worker = open_.enter_context(NatsClient(address, "", token, "worker"))
        assert eventually(lambda: next_claim(worker).leases)
        server.kill()
        server.start()
        assert eventually(lambda: next_claim(worker).leases)


def test_an_owner_at_its_cap_leaves_grants_to_others(
    postgres_only: str, local: None, tmp_path: Path
) -> None:
    capped, _ = issue("capped", ["work"], in_flight_items_max=BATCH)
    other, _ = issue("other", ["work"])
    submit("capped", keys(2 * BATCH), pipeline="p")
    with NatsServer(tmp_path) as server, ExitStack() as open_:
        server.start()
        open_.enter_context(Dispatching(server.address, "p", items=BATCH, window=2)).until_up()
        mine = open_.enter_context(NatsClient(server.address, "", capped, "mine"))
        theirs = open_.enter_context(NatsClient(server.address, "", other, "theirs"))
        (first,) = next_claim(mine).leases
        refused = next_claim(mine)
        assert (refused.leases, refused.reason) == ((), NoLease.AT_LIMIT)
        (second,) = eventually(lambda: next_claim(theirs).leases)
        assert {item.id for item in (*first.items, *second.items)} == set(range(2 * BATCH))


def next_claim(client: NatsClient) -> Claim:
    try:
        return client.claim(
            ["p"], BATCH, job=None, worker="", idempotency_key="k", wait_seconds=WAIT_SECONDS
        )
    except Unavailable:
        return Claim(())
