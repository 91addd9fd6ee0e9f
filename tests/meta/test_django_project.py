"""The app as Django sees it."""

from __future__ import annotations

from django.core.management import call_command


def test_the_migrations_make_what_the_models_say(ledger_db):
    call_command("makemigrations", "joblot", check=True, dry_run=True)


def test_the_system_checks_are_quiet_in_a_good_project(ledger_db):
    call_command("check", databases=[ledger_db], fail_level="WARNING")
