"""Downloads that were interrupted."""

import pytest
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.fronts.aria2.status import interruptions
from downloadd.fronts.aria2.status.interruptions import Interruptions

DOWNLOAD = sample_download(1, epoch=3)


@pytest.mark.parametrize(("epoch", "is_next"), [(3, False), (4, True), (5, False)])
def test_an_interruption_concerns_the_next_run(epoch: int, is_next: bool) -> None:
    known = Interruptions()
    known.add(DOWNLOAD)
    assert not known.remove(sample_download(2, epoch=4))
    following = with_fields(DOWNLOAD, epoch=epoch)
    assert [known.remove(following) for _ in range(2)] == [is_next, False]


def test_only_the_latest_interruptions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruptions, "MAX_INTERRUPTIONS", 2)
    known = Interruptions()
    downloads = [sample_download(number, epoch=1) for number in range(3)]
    for number in (0, 1, 0, 2):
        known.add(downloads[number])
    assert [known.remove(with_fields(download, epoch=2)) for download in downloads] == [True, False, True]
