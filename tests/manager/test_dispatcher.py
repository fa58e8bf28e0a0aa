"""Interface of the dispatcher; `dispatcher_contract.py` has the tests of its promises."""

import pytest
from support.protocol_methods import differences

from downloadd.manager.dispatcher import HostSlots, Origins, Queue
from downloadd.manager.local_dispatcher import LocalHostSlots, LocalOrigins, LocalQueue


@pytest.mark.parametrize(
    ("protocol", "implementation"),
    [(Queue, LocalQueue), (HostSlots, LocalHostSlots), (Origins, LocalOrigins)],
)
def test_an_implementation_has_the_methods_of_its_protocol(protocol: type, implementation: type) -> None:
    assert list(differences(protocol, implementation)) == []
