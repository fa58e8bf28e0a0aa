"""Sources of a download and the distribution of slots among them."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.downloads import make_download

from downloadd.download import Download, Mirror
from downloadd.transfer.sources import Source, distribute_slots, order_sources, select_source


def download() -> Download:
    return make_download(
        id="x",
        user="u",
        url="http://u:p@a.example/f",
        redacted_url="http://a.example/f",
        host="a.example",
        mirrors=(Mirror(url="http://b.example/f?token=t", host="b.example"), Mirror(url="http://c/f", host="c")),
        directory="",
        timeout=0,
        start_time=0,
        filename="f",
    )


@pytest.mark.parametrize(
    ("turns", "hosts"),
    [
        ([], ["a.example", "b.example", "c"]),
        ([1], ["b.example", "c", "a.example"]),
        ([1, 2], ["c", "a.example", "b.example"]),
        ([2, 3], ["a.example", "b.example", "c"]),
        ([2, 2, 4], ["b.example", "c", "a.example"]),
    ],
)
def test_the_selected_source_comes_first_and_its_host_is_that_of_the_run(turns: list[int], hosts: list[str]) -> None:
    row = download()
    for turn in turns:
        row = select_source(row, turn)
    assert [source.host for source in order_sources(row)] == hosts
    assert row.progress.host == hosts[0]
    assert sorted(source.index for source in order_sources(row)) == [0, 1, 2]


def test_a_redacted_url_has_no_secret() -> None:
    first, second, _ = order_sources(download())
    assert (first.url, first.redacted_url) == ("http://u:p@a.example/f", "http://a.example/f")
    assert "token=t" not in second.redacted_url


@given(
    hosts=st.lists(st.sampled_from("abc"), min_size=1, max_size=6),
    count=st.integers(1, 16),
    free=st.fixed_dictionaries(dict.fromkeys("abc", st.integers(0, 8))),
)
def test_slots_are_distributed_evenly_as_far_as_hosts_have_them(
    hosts: list[str], count: int, free: dict[str, int]
) -> None:
    sources = [Source(number, f"http://{host}/{number}", host) for number, host in enumerate(hosts)]
    left = Counter(free)

    def acquire(host: str, count: int) -> int:
        given = min(count, left[host])
        left[host] -= given
        return given

    acquired = distribute_slots(sources, count, acquire)
    slots = [source.slots for source in sources]
    assert sum(slots) == 1 + sum(n for _, n in acquired) <= max(count, 1)
    assert slots[0] >= 1
    for host, slots_given in Counter(dict(acquired)).items():
        assert slots_given <= free[host]
    if sum(slots) < count:
        # Every source without a further slot has used all slots of its host.
        assert all(not left[host] for host in hosts)
    else:
        able = [source.slots for source in sources[1:] if left[source.host]]
        assert not able or max(slots) - min(able) <= 1
