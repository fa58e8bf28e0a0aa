"""Conditions about runs."""

from downloadd.records.postgres.run_statements import IS_ABANDONED, IS_RUNNING


def test_the_conditions_name_the_running_states_so_that_their_index_is_used() -> None:
    assert IS_RUNNING == "downloads.state IN ('downloading', 'starting', 'verifying')"
    assert IS_ABANDONED.startswith(IS_RUNNING)
