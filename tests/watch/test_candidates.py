import pytest

from downloadd.watch.candidates import FolderFile, is_candidate, observe, settled


def make_file(name: str = "a.txt", *, inode: int = 1, size: int = 1, modified: int = 1) -> FolderFile:
    return FolderFile(name=name, inode=inode, size=size, modified=modified)


@pytest.mark.parametrize("name", ["a.txt", "export.zip", "part", "a.part.txt", "é.csv"])
def test_a_file_of_any_other_name_is_a_candidate(name: str) -> None:
    assert is_candidate(name)


@pytest.mark.parametrize("name", [".a.txt", ".nfs001", "a.part", "a.PART", "a.tmp", "a~", "a.crdownload", "a.swp"])
def test_hidden_and_unfinished_files_are_left(name: str) -> None:
    assert not is_candidate(name)


def test_a_file_is_settled_once_it_has_not_changed_for_so_many_seconds() -> None:
    known = observe({}, [make_file()], now=10)
    assert settled(known, now=11.9, seconds=2) == []
    known = observe(known, [make_file()], now=11.9)
    assert settled(known, now=12, seconds=2) == ["a.txt"]


@pytest.mark.parametrize("changed", [make_file(size=2), make_file(modified=2), make_file(inode=2)])
def test_a_change_of_size_time_or_identity_begins_the_wait_again(changed: FolderFile) -> None:
    known = observe(observe({}, [make_file()], now=10), [changed], now=11.5)
    assert settled(known, now=12.5, seconds=2) == []
    assert settled(known, now=13.5, seconds=2) == ["a.txt"]


def test_a_file_that_is_gone_is_forgotten() -> None:
    known = observe(observe({}, [make_file()], now=10), [], now=11)
    assert settled(observe(known, [make_file()], now=12), now=12.5, seconds=2) == []


def test_the_oldest_file_is_first() -> None:
    files = [make_file("c", modified=2), make_file("b", modified=1), make_file("a", modified=2)]
    assert settled(observe({}, files, now=0), now=0, seconds=0) == ["b", "a", "c"]
