"""What other apps share with the installed page."""

import pytest
from support.served_api import ServedApi

from downloadd.fronts.page.shared_query import SharedQuery


def test_the_parameters_are_those_of_the_manifest() -> None:
    assert SharedQuery.__struct_fields__ == ("title", "text", "url")


@pytest.mark.parametrize("query", ["url=https%3A%2F%2Fa.example", "title=%E4%BD%A0&text=x+y&url="])
async def test_the_page_opens_with_what_was_shared(query: str) -> None:
    api = ServedApi()
    async with api.client:
        status, fields, _ = await api.raw("GET", f"/?{query}")
        assert (status, fields["Content-Type"]) == (200, "text/html; charset=utf-8")


async def test_another_parameter_is_refused() -> None:
    api = ServedApi()
    async with api.client:
        assert (await api.raw("GET", "/?uri=https%3A%2F%2Fa.example"))[0] == 400
