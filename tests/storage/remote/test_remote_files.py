"""Finished files on other machines are recognised; `tests/storage/test_routing.py` has reading and removal."""

from downloadd.storage.objects.description import format_identity
from downloadd.storage.remote.remote_files import is_same_file, is_shown
from downloadd.storage.remote.remote_storage import FoundFile


def test_a_file_is_recognised_by_its_identity_or_checksum() -> None:
    found = FoundFile(size=1, modified=0.0, identity="object:e", sha256="0")
    assert is_same_file(found, identity="object:e")
    assert not is_same_file(found, identity="object:f")
    assert not is_same_file(found, identity=None)
    assert is_same_file(found, identity=None, checksum="sha-256=0")
    assert is_same_file(found, identity="object:f", checksum="sha-256=0")
    assert not is_same_file(found, identity=None, checksum="md5=0")
    # A server that states no entity tags.
    assert not is_same_file(FoundFile(size=1, modified=0.0, identity=format_identity("")), identity=format_identity(""))
    unknown = FoundFile(size=1, modified=0.0, identity="sftp:1:0")
    assert not is_same_file(unknown, identity=None, checksum="sha-256=")


def test_names_that_no_download_has_are_not_shown() -> None:
    names = ["f", ".hidden", "a\tb", ".f.0f6a1c7e.part", "f (1).txt"]
    assert [name for name in names if is_shown(name)] == ["f", "f (1).txt"]
