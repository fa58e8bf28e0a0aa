import pytest

from downloadd.hooks.archive_names import archive_stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.zip", "a"),
        ("a.b.ZIP", "a.b"),
        ("a.tar", "a"),
        ("a.tar.gz", "a"),
        ("a.tgz", "a"),
        ("a.tar.bz2", "a"),
        ("a.tbz", "a"),
        ("a.Tar.Xz", "a"),
        ("a.txz", "a"),
        ("a.7z", "a"),
        ("a.part1.RAR", "a.part1"),
    ],
)
def test_the_stem_of_an_archive_is_its_name_without_the_suffix(name: str, stem: str) -> None:
    assert archive_stem(name) == stem


@pytest.mark.parametrize(
    "name", ["a.gz", "a.docx", "a.jar", "a.zip.part", ".zip", ".tar.gz", "zip", "a.iso", "a.r00", ""]
)
def test_other_files_are_no_archives(name: str) -> None:
    assert archive_stem(name) is None
