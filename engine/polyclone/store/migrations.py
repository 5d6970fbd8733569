"""The schema of the cache file, as numbered steps. A step that has been released is never edited."""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x504C4331
"""`PLC1` in the file's header says whose database it is."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # `id` grows for ever, so that a row of this run is never mistaken for one deleted before.
        """CREATE TABLE blob (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            key BLOB NOT NULL,
            value BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            used_day INTEGER NOT NULL
        )""",
        "CREATE UNIQUE INDEX blob_key ON blob (kind, key)",
        "CREATE INDEX blob_age ON blob (used_day, id)",
    ),
)
"""Step n takes a file from version n to n + 1."""

VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to `VERSION`, in one transaction. Two processes may call this at the same time.

    The connection must be in autocommit mode. Effect: writes the file unless it is up to date.
    """
    if _version(connection) >= VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[_version(connection) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:  # raised again: an interrupt must not leave a transaction open either
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
