"""What the old system has stored of a job: results by stage, each item once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from joblot.importing.account import StageAccount
from joblot.importing.mapping import BlobMapping, KnownResult, OldJob

Results = dict[str, KnownResult]  # by key


@dataclass(frozen=True, slots=True)
class Evidence:
    """`implied` are successes without a result: an item that a later stage has settled passed."""

    results: Sequence[Results]
    implied: Sequence[set[str]]
    accounts: Sequence[StageAccount]

    def of_stage(self, stage: int) -> list[KnownResult]:
        """All that is known of a stage, with what is implied."""
        implied = [KnownResult(key) for key in sorted(self.implied[stage])]
        return [*self.results[stage].values(), *implied]


def read(mapping: BlobMapping, old: OldJob, keys: set[str]) -> Evidence:
    """The results of the job's items; what can't be used is accounted for."""
    accounts, results = [], []
    for stage in mapping.stages:
        name = stage["name"]
        account = StageAccount(name, dict(old.counts.get(name, {})))
        results.append(_of_stage(mapping.known(old, name), keys, account))
        account.compare()
        accounts.append(account)
    _drop_after_failures(results, accounts)
    implied = _implied(results)
    for account, these in zip(accounts, implied, strict=True):
        account.implied = len(these)
    return Evidence(results, implied, accounts)


def _of_stage(known: Iterable[KnownResult], keys: set[str], account: StageAccount) -> Results:
    results: Results = {}
    for one in known:
        account.results += 1
        if one.key not in keys:
            account.leave("unknown_item", one.key)
        elif one.key in results:
            account.leave("repeated", one.key)
        else:
            results[one.key] = one
            if one.error is None:
                account.succeeded += 1
            else:
                account.failed += 1
    return results


def _drop_after_failures(results: Sequence[Results], accounts: Sequence[StageAccount]) -> None:
    """An item that failed in a stage has no result in a later one."""
    failed: set[str] = set()
    for of_stage, account in zip(results, accounts, strict=True):
        for key in sorted(failed & set(of_stage)):
            del of_stage[key]
            account.leave("conflicting", key)
        failed |= {key for key, one in of_stage.items() if one.error is not None}


def _implied(results: Sequence[Results]) -> list[set[str]]:
    implied: list[set[str]] = [set() for _ in results]
    later: set[str] = set()
    for stage in reversed(range(len(results))):
        implied[stage] = later - set(results[stage])
        later |= set(results[stage])
    return implied
