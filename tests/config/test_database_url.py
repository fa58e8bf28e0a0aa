"""URLs of databases."""

import pytest

from downloadd.config.database_url import parse_database_url


@pytest.mark.parametrize(
    "url", ["", "postgresql://h/d", "postgres://ann:s3cret@db.example:5433/name?sslmode=require", "postgresql:///d"]
)
def test_urls_of_databases_are_taken_as_they_are(url: str) -> None:
    assert parse_database_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["h/d", "mysql://ann:s3cret@h/d", "postgresql://ann:s3cret@h", "postgresql://ann:s3cret@h/", "postgresql://h/d d"],
)
def test_other_texts_are_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected postgresql://USER:PASSWORD@HOST:PORT/NAME") as refused:
        parse_database_url(url)
    assert "s3cret" not in str(refused.value)
