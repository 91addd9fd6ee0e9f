"""Which addresses may be called: only public ones, unless the installation allows others.

A name is resolved once per connection, all of its addresses are checked, and the connection goes to
a checked one; TLS and the Host header still use the name. So DNS can't change the address between
the check and the connection.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from ssl import SSLContext
from typing import Any

import httpcore

from joblot.config import limits
from joblot.errors import InvalidInput

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """True for a public unicast address; an embedded IPv4 address is checked as well."""
    return _is_public(ipaddress.ip_address(address))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if (inner := _embedded(address)) is not None:
            return _is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which packets for this one are delivered."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def checked_addresses(host: str, port: int) -> list[str]:
    """Resolve a name. Raises InvalidInput if an address is not allowed, OSError if none exists."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        require_callable(host, address)
    return addresses


def require_callable(host: str, address: str) -> None:
    """Raise InvalidInput unless the address is public or all are allowed."""
    if not limits().webhook_private_allowed and not is_public(address):
        raise InvalidInput(
            f"{host} resolves to {address}: expected a public address; to allow others, set "
            'JOBLOT["WEBHOOK_PRIVATE_ALLOWED"]'
        )


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to checked addresses only, and ends every wait at one deadline.

    `deadline` is a time.monotonic() value; a slow drip of data can't prolong an attempt.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that accepts; each gets an equal share of the time."""
        try:
            addresses = checked_addresses(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} could not be resolved: {error}") from error
        for tried, address in enumerate(addresses):
            share = left(self._deadline) / (len(addresses) - tried)
            try:
                stream = self._network.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
            else:
                return _Stream(stream, self._deadline)
        raise refused


class _Stream(httpcore.NetworkStream):
    """A connection on which every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, left(self._deadline))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def left(deadline: float) -> float:
    """Seconds until the deadline. Raises httpcore.ReadTimeout once it has passed."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise httpcore.ReadTimeout("the time for this attempt is over")
    return seconds
