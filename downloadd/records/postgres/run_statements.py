"""Conditions about the runs of all nodes, by the clock of the database.

Pure: no I/O and no clock.
"""

from typing import Final

from downloadd.states import RUNNING

# The SQL is composed of the names of the states only.
RUNNING_WORDS: Final = ", ".join(f"'{state}'" for state in sorted(RUNNING))
IS_RUNNING: Final = f"downloads.state IN ({RUNNING_WORDS})"
"""Condition of the index `downloads_running`."""
IS_LIVING: Final = "last_seen + lease * interval '1 s' >= clock_timestamp()"
"""Condition of the table `nodes`: the node has not been silent for longer than its lease."""
IS_ABANDONED: Final = (
    f"{IS_RUNNING} AND NOT EXISTS (SELECT FROM nodes WHERE nodes.session = downloads.session AND {IS_LIVING})"
)
"""Condition of a download in a running state that no living node runs."""
