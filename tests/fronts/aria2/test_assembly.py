from support.served_api import ServedApi

from downloadd.config import Aria2Config, Config
from downloadd.fronts.aria2.assembly import make_rpc_front
from downloadd.fronts.rest.request_guards import AllowedHosts
from downloadd.metrics import Metrics


async def test_there_is_no_interface_if_it_is_switched_off() -> None:
    api = ServedApi()
    front = make_rpc_front(
        lambda: Config(aria2=Aria2Config(enabled=False)),
        service=api.service,
        views=api.views,
        settings=api.settings,
        accounts=api.accounts,
        bus=api.bus,
        hosts=AllowedHosts((), ("api",)),
        metrics=Metrics(),
        clock=api.clock,
        root="/srv/files",
        request_stop=lambda: None,
    )
    assert front is None
