"""The hooks, as the configuration constructs them."""

from typing import Any
from unittest.mock import Mock

import pytest
from support.app_config import config_for
from support.clocks import ManualClock

from downloadd.hooks.assembly import assemble_hooks


@pytest.mark.parametrize("is_shared", [False, True])
async def test_a_store_of_one_node_asks_no_other_one(tmp_path: Any, is_shared: bool) -> None:
    store: Any = Mock(is_shared=is_shared)
    unused: Any = Mock()
    hooks = assemble_hooks(
        config_for(tmp_path),
        store=store,
        sender=unused,
        file_actions=unused,
        environment={},
        find_others=unused,
        metrics=unused,
        clock=ManualClock(),
    )
    assert (hooks._find_others is None) is not is_shared
