"""What keeps an installation going, and what an operator calls.

`joblot serve` sweeps, delivers events and removes files itself; a Django project does it with
`sweep_until` and `supervise_until`, or from a scheduler with `sweep`, `deliver` and
`remove_files`.
"""

from typing import TYPE_CHECKING

from joblot.lazy import lazily

if TYPE_CHECKING:
    from joblot.delivery.supervisor import supervise_until
    from joblot.ledger.job.prune import prune
    from joblot.ledger.lease import expire
    from joblot.ledger.maintain.delivery import deliver, deliver_until
    from joblot.ledger.maintain.file_removal import remove_files, remove_files_until
    from joblot.ledger.maintain.pipelines import edit_pipeline
    from joblot.ledger.maintain.repair import repair
    from joblot.ledger.maintain.revocation import restore_worker, revoke_worker
    from joblot.ledger.maintain.sweep import Swept, sweep, sweep_until
    from joblot.ledger.read.audit import audit, audit_all
    from joblot.ledger.read.health import health
    from joblot.ledger.read.pipelines import pipelines
    from joblot.ledger.read.workers import workers
else:
    __getattr__ = lazily(
        __name__,
        {
            "joblot.ledger.maintain.sweep": ["sweep", "sweep_until", "Swept"],
            "joblot.ledger.maintain.delivery": ["deliver", "deliver_until"],
            "joblot.ledger.maintain.file_removal": ["remove_files", "remove_files_until"],
            "joblot.delivery.supervisor": ["supervise_until"],
            "joblot.ledger.lease": ["expire"],
            "joblot.ledger.job.prune": ["prune"],
            "joblot.ledger.read.audit": ["audit", "audit_all"],
            "joblot.ledger.maintain.repair": ["repair"],
            "joblot.ledger.maintain.revocation": ["revoke_worker", "restore_worker"],
            "joblot.ledger.read.workers": ["workers"],
            "joblot.ledger.read.health": ["health"],
            "joblot.ledger.maintain.pipelines": ["edit_pipeline"],
            "joblot.ledger.read.pipelines": ["pipelines"],
        },
    )

__all__ = [
    "Swept",
    "audit",
    "audit_all",
    "deliver",
    "deliver_until",
    "edit_pipeline",
    "expire",
    "health",
    "pipelines",
    "prune",
    "remove_files",
    "remove_files_until",
    "repair",
    "restore_worker",
    "revoke_worker",
    "supervise_until",
    "sweep",
    "sweep_until",
    "workers",
]
