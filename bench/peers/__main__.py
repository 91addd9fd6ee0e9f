"""The headline: no-op items through whole frameworks, submitted, drained and proved.

    python -m bench.peers [PEER ...] [--items 200000] [--slow-items 20000]

Each peer runs with its defaults and as its documentation tunes it; beside each, joblot runs again,
so that ratios are of one moment. Then the same, smaller, with a SIGKILL of all workers at half, and
with an old snapshot open. Earlier results of other peers stay in bench/results/peers.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from bench.peers import results
from bench.peers.catalogue import BY_NAME, JOBLOT, PEERS
from bench.peers.measure import Asked, measure
from bench.peers.shape import Peer, Variant
from bench.peers.workers import Failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", choices=[[], *BY_NAME], metavar="PEER")
    parser.add_argument("--items", type=int, default=200_000, help="of the fast ones")
    parser.add_argument("--slow-items", type=int, default=20_000)
    parser.add_argument("--kill-items", type=int, default=20_000, help="slow ones: a tenth")
    parser.add_argument("--patience", type=float, default=330, help="seconds without progress")
    parser.add_argument("--limit", type=float, default=900, help="seconds of one drain")
    parser.add_argument("--variants", nargs="+", help="only these, by name")
    parser.add_argument("--only", nargs="+", choices=("run", "kill", "snapshot"))
    parser.add_argument("--alone", action="store_true", help="without joblot beside each")
    asked = parser.parse_args()
    kinds = {"run": _runs, "kill": _kills, "snapshot": _snapshots}
    for peer in [BY_NAME[name] for name in asked.peers] or PEERS:
        for kind in asked.only or kinds:
            kinds[kind](peer, asked)


def _runs(peer: Peer, asked: argparse.Namespace) -> None:
    if peer is not JOBLOT and not asked.alone:
        beside = _one(JOBLOT, JOBLOT.variants[-1], _asked(asked, asked.items))
        results.add("beside", peer.name, beside)
    for variant in _variants(peer, asked):
        items = asked.items if variant.fast else asked.slow_items
        items = min(items, variant.items_max or items)
        results.add("run", peer.name, _one(peer, variant, _asked(asked, items)))


def _kills(peer: Peer, asked: argparse.Namespace) -> None:
    for variant in (one for one in _variants(peer, asked) if one.faults):
        items = asked.kill_items if variant.fast else asked.kill_items // 10
        what = _asked(asked, items, kill_at_half=True)
        results.add("kill", peer.name, _one(peer, variant, what))


def _snapshots(peer: Peer, asked: argparse.Namespace) -> None:
    """With the last variant, which is the most tuned."""
    if "postgres" not in peer.services or not peer.variants[-1].fast:
        return
    what = _asked(asked, asked.items, old_snapshot=True)
    results.add("snapshot", peer.name, _one(peer, peer.variants[-1], what))


def _variants(peer: Peer, asked: argparse.Namespace) -> list[Variant]:
    return [one for one in peer.variants if not asked.variants or one.name in asked.variants]


def _asked(asked: argparse.Namespace, items: int, **more: Any) -> Asked:
    return Asked(items, patience=asked.patience, limit=asked.limit, **more)


def _one(peer: Peer, variant: Variant, asked: Asked) -> dict[str, Any]:
    began = time.monotonic()
    found = _or_error(lambda: measure(peer, variant, asked))
    print(f"{peer.name}, {variant.name}: {_brief(found)}", end="", flush=True)
    print(f" ({time.monotonic() - began:.0f} s in all)", flush=True)
    return {"variant": variant.name, "settings": variant.settings, **found}


def _or_error(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return call()
    except (Failed, ValueError) as error:
        return {"error": str(error)[-500:]}


def _brief(found: dict[str, Any]) -> str:
    if "error" in found:
        return f"failed: {found['error']}"
    kept = ("items", "items/s", "CPU ms/item", "settled", "proof", "count error")
    return ", ".join(f"{name}: {found[name]}" for name in kept)


if __name__ == "__main__":
    main()
