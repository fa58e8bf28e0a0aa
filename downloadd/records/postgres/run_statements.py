"""Conditions about the runs of all nodes, by the clock of the database.

Pure: no I/O and no clock.
"""

from typing import Final

from downloadd.states import RUNNING

# The SQL is composed of the names of the states and tables only.
# ruff: noqa: S608
RUNNING_WORDS: Final = ", ".join(f"'{state}'" for state in sorted(RUNNING))
IS_RUNNING: Final = f"downloads.state IN ({RUNNING_WORDS})"
"""Condition of the index `downloads_running`."""
IS_LIVING: Final = "last_seen + lease * interval '1 s' >= clock_timestamp()"
"""Condition of the table `nodes`: the node has not been silent for longer than its lease."""


SESSION: Final = "coalesce(downloads.session, '')"
"""Session of a run, by which `downloads_running` is sorted; '' for none."""


def gone_sessions(table: str, session: str = "session", condition: str = "true") -> str:
    """Return a query for the sessions in the rows of a table that no living node has.

    It reads one entry of an index for each session, however many rows it has.

    Args:
        table: the table.
        session: expression for the session, by which an index is sorted.
        condition: condition of that index.
    """
    own = f"SELECT {session} FROM {table} WHERE {condition} AND {session}"
    return f"""
WITH RECURSIVE sessions (session) AS (
    ({own} >= '' ORDER BY {session} LIMIT 1)
    UNION ALL
    SELECT ({own} > sessions.session ORDER BY {session} LIMIT 1) FROM sessions WHERE sessions.session IS NOT NULL
)
SELECT session FROM sessions
WHERE session IS NOT NULL AND NOT EXISTS (SELECT FROM nodes WHERE nodes.session = sessions.session AND {IS_LIVING})
"""
