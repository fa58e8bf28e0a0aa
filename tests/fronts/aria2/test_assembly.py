import pytest
from support.served_api import ServedApi

from downloadd.config import Aria2Config, Config
from downloadd.fronts.aria2.assembly import make_rpc_front
from downloadd.fronts.rest.request_guards import AllowedHosts


@pytest.mark.parametrize("is_enabled", [True, False])
async def test_the_interface_is_there_if_it_is_switched_on(is_enabled: bool) -> None:
    api = ServedApi()
    front = make_rpc_front(
        lambda: Config(aria2=Aria2Config(enabled=is_enabled)),
        service=api.service,
        views=api.views,
        settings=api.settings,
        accounts=api.accounts,
        bus=api.bus,
        hosts=AllowedHosts((), ("api",)),
        metrics=api.metrics,
        clock=api.clock,
        root="/srv/files",
        request_stop=lambda: None,
    )
    assert (front is not None) is is_enabled
