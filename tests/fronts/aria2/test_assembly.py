"""Assembly of the RPC interface."""

from typing import Any, cast

import pytest

from downloadd.config import Aria2Config, Config
from downloadd.fronts.aria2.assembly import assemble_rpc
from downloadd.fronts.rest.auth import Accounts
from downloadd.fronts.rest.request_guards import AllowedHosts
from downloadd.metrics import Metrics


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_interface_is_there_if_it_is_enabled(is_enabled: bool) -> None:
    config = Config(aria2=Aria2Config(enabled=is_enabled))
    unused = cast(Any, None)
    rpc = assemble_rpc(
        read_config=lambda: config,
        service=unused,
        views=unused,
        settings=unused,
        accounts=Accounts(()),
        bus=unused,
        metrics=Metrics(),
        clock=unused,
        hosts=AllowedHosts((), ()),
        root="/srv",
        request_stop=lambda: None,
    )
    assert (rpc is not None) is is_enabled
