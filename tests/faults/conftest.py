from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.crash_runner import ForkServer


@pytest.fixture(scope="session")
def fork_servers() -> Iterator[list[ForkServer]]:
    """Start two fork servers, for runs in parallel."""
    with ExitStack() as stack:
        yield [stack.enter_context(ForkServer()) for _ in range(2)]
