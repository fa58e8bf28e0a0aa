"""Restarts of transfers by changes of options."""

import pytest
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.fronts.aria2.status import restarts
from downloadd.fronts.aria2.status.restarts import Restarts

DOWNLOAD = sample_download(1, epoch=3)


def test_a_restart_concerns_one_run_and_the_next() -> None:
    known = Restarts()
    known.add(DOWNLOAD)
    downloads = {epoch: with_fields(DOWNLOAD, epoch=epoch) for epoch in range(2, 6)}
    assert [epoch for epoch, download in downloads.items() if known.hides_pause(download)] == [3]
    assert [epoch for epoch, download in downloads.items() if known.hides_start(download)] == [4]
    assert not known.hides_pause(sample_download(2, epoch=3))


def test_only_the_latest_restarts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "MAX_RESTARTS", 2)
    known = Restarts()
    downloads = [sample_download(number, epoch=1) for number in range(3)]
    for download in downloads:
        known.add(download)
    assert [known.hides_pause(download) for download in downloads] == [False, True, True]
