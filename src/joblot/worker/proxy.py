"""The proxy through which a server is reached, as the environment says.

The variables are those that curl and most programs know. Each of them may be malformed, or name a
kind of proxy that is not supported: the error names the variable, and a proxy that is not used for
this server is not looked at.
"""

from __future__ import annotations

import ipaddress
import os
from importlib.util import find_spec
from urllib.parse import urlsplit

import httpx

from joblot.errors import InvalidInput
from joblot.local import is_loopback

OF_ALL = ("all_proxy", "ALL_PROXY")
EXCEPTIONS = ("no_proxy", "NO_PROXY")
SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_of(url: str) -> httpx.Proxy | None:
    """Raises InvalidInput, which names the variable, without a password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or _is_exempt(host, parts.port):
        return None
    own = f"{parts.scheme}_proxy"
    for name in (own, own.upper(), *OF_ALL):
        if given := os.environ.get(name, "").strip():
            return _proxy(name, given)
    return None


def _proxy(name: str, given: str) -> httpx.Proxy:
    try:
        proxy = httpx.Proxy(given if "://" in given else f"http://{given}")
    except (ValueError, httpx.InvalidURL):
        raise _malformed(name) from None
    if proxy.url.scheme not in SCHEMES or not proxy.url.host:
        raise _malformed(name)
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise InvalidInput(
            f"{name}: a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'; or "
            f"unset {name}, or name the server in NO_PROXY"
        )
    return proxy


def _malformed(name: str) -> InvalidInput:
    return InvalidInput(
        f"{name}: expected a proxy such as http://proxy.example:3128, got something else; correct "
        "it, or unset it"
    )


def _is_exempt(host: str, port: int | None) -> bool:
    listed = (os.environ.get(name, "") for name in EXCEPTIONS)
    entries = [entry.strip().lower() for one in listed for entry in one.split(",")]
    return any(_matches(entry, host.lower(), port) for entry in entries if entry)


def _matches(entry: str, host: str, port: int | None) -> bool:
    """An entry is `*`, a domain with all below it, an address or a network; perhaps with a port."""
    if entry == "*":
        return True
    name, wanted = _name_and_port(entry)
    if wanted and wanted != str(port):
        return False
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        domain = name.lstrip("*").lstrip(".")
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _name_and_port(entry: str) -> tuple[str, str]:
    entry = entry.partition("://")[2] or entry
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""
