"""Sources of a download."""

import pytest
from support.cookie_jars import make_jar
from support.downloads import make_download, with_fields

from downloadd.attempt_options import AttemptOptions
from downloadd.download import Download, Mirror
from downloadd.request_fields import Method, RequestFields
from downloadd.transfer.sources import Source, order_sources, select_source


def download() -> Download:
    return make_download(
        id="x",
        user="u",
        url="http://u:p@a.example/f",
        redacted_url="http://a.example/f",
        origin="http://a.example",
        mirrors=(Mirror(url="http://b.example/f?token=t"), Mirror(url="http://c/f")),
        directory="",
        timeout=0,
        start_time=0,
        filename="f",
    )


@pytest.mark.parametrize(
    ("turns", "origins"),
    [
        ([], ["http://a.example", "http://b.example", "http://c"]),
        ([1], ["http://b.example", "http://c", "http://a.example"]),
        ([1, 2], ["http://c", "http://a.example", "http://b.example"]),
        ([2, 3], ["http://a.example", "http://b.example", "http://c"]),
        ([2, 2, 4], ["http://b.example", "http://c", "http://a.example"]),
    ],
)
def test_the_selected_source_comes_first_and_its_host_is_that_of_the_run(turns: list[int], origins: list[str]) -> None:
    row = download()
    for turn in turns:
        row = select_source(row, turn)
    assert [source.origin for source in order_sources(row, make_jar())] == origins
    assert row.progress.origin == origins[0]
    assert sorted(source.index for source in order_sources(row, make_jar())) == [0, 1, 2]


def fields_of(source: Source) -> RequestFields | None:
    assert source.context is not None
    return source.context.fields


def test_all_sources_share_the_cookies() -> None:
    jar = make_jar()
    assert {id(source.context.cookies) for source in order_sources(download(), jar) if source.context} == {id(jar)}


def test_the_limits_of_the_download_hold_for_all_sources() -> None:
    options = AttemptOptions(connect_timeout=2)
    row = download().with_request(attempt_options=options)
    assert [source.context and source.context.options for source in order_sources(row, make_jar())] == [options] * 3


def test_only_sources_at_the_origin_of_the_url_get_the_request_fields() -> None:
    fields = RequestFields(headers=(("X-Key", "k"),), proxy="office", method=Method.POST)
    mirrors = (Mirror(url="http://a.example:80/g"), Mirror(url="http://b.example/f"), Mirror(url="https://a.example/f"))
    row = with_fields(download(), fields=fields, mirrors=mirrors)
    other = RequestFields(proxy="office")
    assert [fields_of(source) for source in order_sources(row, make_jar())] == [fields, fields, other, other]
    # The number of the preferred source changes nothing.
    assert [fields_of(source) for source in order_sources(select_source(row, 2), make_jar())] == [
        other,
        other,
        fields,
        fields,
    ]
    row = with_fields(row, fields=RequestFields(referer="http://a.example/"))
    assert [fields_of(source) for source in order_sources(row, make_jar())][2:] == [None, None]


def test_a_redacted_url_has_no_secret() -> None:
    first, second, _ = order_sources(download(), make_jar())
    assert (first.url, first.redacted_url) == ("http://u:p@a.example/f", "http://a.example/f")
    assert "token=t" not in second.redacted_url
