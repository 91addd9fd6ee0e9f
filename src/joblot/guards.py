"""Prevents code outside the ledger from writing the ledger's tables through the ORM.

For the job's row the database enforces this as well: see the triggers in the migrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from django.db import models

from joblot.errors import LedgerOwned


class ReadOnlyQuerySet(models.QuerySet[Any]):
    """For code outside the ledger: allows every read and no write."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LedgerOwned(
            f"{self.model.__name__} rows are written only by joblot's verbs "
            "(submit, report, cancel, retry, …); use the verb for the intended change"
        )

    create: Any = _refuse
    get_or_create: Any = _refuse
    update_or_create: Any = _refuse
    bulk_create: Any = _refuse
    bulk_update: Any = _refuse
    update: Any = _refuse
    delete: Any = _refuse
    _raw_delete: Any = _refuse


class LedgerQuerySet(models.QuerySet[Any]):
    """For the ledger. Inserts without save(), which is forbidden everywhere."""

    def create(self, **kwargs: Any) -> Any:
        return self.bulk_create([self.model(**kwargs)])[0]


class LedgerModel(models.Model):
    """A table that only the ledger writes, through its second manager."""

    if TYPE_CHECKING:  # the stubs would type the rows as rows of this abstract class
        objects: ClassVar[Any]
        ledger: ClassVar[Any]
    else:
        objects = ReadOnlyQuerySet.as_manager()
        ledger = LedgerQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise LedgerOwned(
            f"{type(self).__name__} is written only by joblot's verbs, never by save()"
        )

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise LedgerOwned(
            f"{type(self).__name__} is removed only by joblot.ledger's delete and prune"
        )
