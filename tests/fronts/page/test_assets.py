"""The installed files of the page."""

import re

from downloadd.fronts.page.assets import INDEX, load_assets

ASSETS = load_assets()


def test_every_file_has_a_media_type_and_a_strong_entity_tag() -> None:
    types = {name.rpartition(".")[2]: asset.media_type for name, asset in ASSETS.items()}
    assert types["html"] == "text/html; charset=utf-8"
    assert types["js"] == "text/javascript; charset=utf-8"
    assert all(re.fullmatch(r'"[0-9a-f]{32}"', asset.entity_tag) for asset in ASSETS.values())


def test_different_files_have_different_entity_tags() -> None:
    assert len({asset.entity_tag for asset in ASSETS.values()}) == len({asset.content for asset in ASSETS.values()})


def test_the_index_refers_to_files_that_exist() -> None:
    text = ASSETS[INDEX].content.decode()
    references = {name.rpartition("/")[2] for name in re.findall(r'(?:href|src)="([^":#]+\.(?:js|css|svg))"', text)}
    assert references
    assert references <= set(ASSETS)
