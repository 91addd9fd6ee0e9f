"""The engine connects with its own class, which does not wait for ever, with a pool and without."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import connections

from joblot.postgresql.base import DatabaseWrapper


@pytest.mark.parametrize("pool", [None, True, {"min_size": 1, "max_size": 1}], ids=str)
def test_each_connection_has_the_time_limit(postgres_only: str, pool: Any) -> None:
    known = connections[postgres_only].settings_dict
    options = {**known["OPTIONS"], "silence_seconds_max": 7.0}
    if pool is not None:
        options["pool"] = pool
    settings = {**known, "OPTIONS": options, "CONN_MAX_AGE": 0}
    wrapper = DatabaseWrapper(settings, alias=f"limited-{pool}")
    try:
        wrapper.ensure_connection()
        assert wrapper.connection.silence_seconds_max == 7.0
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
    finally:
        wrapper.close()
        wrapper.close_pool()


def test_the_driver_is_psycopg_but_for_how_it_connects(postgres_only: str) -> None:
    driver = DatabaseWrapper.Database
    assert driver.OperationalError is psycopg.OperationalError
    assert issubclass(driver.connect.__self__, psycopg.Connection)
    assert psycopg.connect is not driver.connect
