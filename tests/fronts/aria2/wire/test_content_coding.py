import gzip

import pytest

from downloadd.fronts.aria2.wire.content_coding import MAX_SYNCHRONOUS_BYTES, accepts_gzip, compress


@pytest.mark.parametrize(
    ("value", "accepts"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5, br", True),
        ("x-gzip", True),
        ("identity, deflate", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("notgzip", False),
    ],
)
def test_gzip_is_used_if_the_client_accepts_it(value: str, accepts: bool) -> None:
    assert accepts_gzip(value) is accepts


@pytest.mark.parametrize("size", [0, 100, MAX_SYNCHRONOUS_BYTES + 1])
async def test_an_answer_of_any_size_is_compressed(size: int) -> None:
    assert gzip.decompress(await compress(b"a" * size)) == b"a" * size
