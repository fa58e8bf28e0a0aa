"""Interface of the manager: the real parts and the fakes of the tests have its methods."""

import msgspec
import pytest
from support.fake_manager import FakeManager
from support.fake_queue import FakeQueue, FakeResults
from support.protocol_methods import differences

from downloadd.manager.manager import Manager
from downloadd.manager.protocol import (
    DownloadChange,
    DownloadManager,
    QueueManager,
    ResultCount,
    ResultManager,
    StartResult,
)
from downloadd.manager.queue_control import QueueControl
from downloadd.manager.result_list import ResultList


@pytest.mark.parametrize(
    ("protocol", "implementation"),
    [
        (DownloadManager, Manager),
        (DownloadManager, FakeManager),
        (QueueManager, QueueControl),
        (QueueManager, FakeQueue),
        (ResultManager, ResultList),
        (ResultManager, FakeResults),
    ],
)
def test_an_implementation_has_the_methods_of_its_interface(protocol: type, implementation: type) -> None:
    assert list(differences(protocol, implementation)) == []


def test_a_change_without_values_changes_nothing() -> None:
    assert set(msgspec.structs.asdict(DownloadChange()).values()) == {None}


def test_no_speed_limit_is_another_change_than_none() -> None:
    assert DownloadChange(speed_limit=0) != DownloadChange()


def test_a_result_without_values_has_started_nothing() -> None:
    assert (StartResult().downloads, StartResult().replayed) == ((), None)


def test_both_numbers_of_results_are_given() -> None:
    with pytest.raises(TypeError, match="total"):
        ResultCount(shown=1)  # type: ignore[call-arg]
