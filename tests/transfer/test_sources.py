"""Where a download is fetched from, and over how many connections."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.download import Download, Mirror
from downloadd.transfer.sources import Source, share_out, sources_of


def download(failures: int = 0) -> Download:
    return Download(
        id="x",
        user="u",
        url="http://u:p@a.example/f",
        shown_url="http://a.example/f",
        host="a.example",
        mirrors=(Mirror(url="http://b.example/f?token=t", host="b.example"), Mirror(url="http://c/f", host="c")),
        directory="",
        timeout=0,
        start_time=0,
        filename="f",
        failures=failures,
    )


@pytest.mark.parametrize(
    ("failures", "hosts"),
    [(0, ["a.example", "b.example", "c"]), (1, ["b.example", "c", "a.example"]), (5, ["c", "a.example", "b.example"])],
)
def test_each_failure_lets_another_source_go_first(failures: int, hosts: list[str]) -> None:
    assert [source.host for source in sources_of(download(failures))] == hosts


def test_what_is_shown_holds_no_secret() -> None:
    first, second, _ = sources_of(download())
    assert (first.url, first.shown_url) == ("http://u:p@a.example/f", "http://a.example/f")
    assert "token=t" not in second.shown_url


@given(
    hosts=st.lists(st.sampled_from("abc"), min_size=1, max_size=6),
    count=st.integers(1, 16),
    free=st.fixed_dictionaries(dict.fromkeys("abc", st.integers(0, 8))),
)
def test_places_are_shared_out_evenly_as_far_as_hosts_have_them(
    hosts: list[str], count: int, free: dict[str, int]
) -> None:
    sources = [Source(f"http://{host}/{number}", host) for number, host in enumerate(hosts)]
    left = Counter(free)

    def borrow(host: str, wanted: int) -> int:
        given = min(wanted, left[host])
        left[host] -= given
        return given

    borrowed = share_out(sources, count, borrow)
    places = [source.places for source in sources]
    assert sum(places) == 1 + sum(n for _, n in borrowed) <= max(count, 1)
    assert places[0] >= 1
    for host, places_given in Counter(dict(borrowed)).items():
        assert places_given <= free[host]
    if sum(places) < count:
        # Nobody who could have more was left out.
        assert all(not left[host] for host in hosts)
    else:
        able = [source.places for source in sources[1:] if left[source.host]]
        assert not able or max(places) - min(able) <= 1
