"""URLs of SFTP servers."""

import pytest

from downloadd.storage.sftp.location import SftpLocation, parse_sftp_url


def test_a_url_has_user_host_port_and_directory() -> None:
    location = parse_sftp_url("sftp://Me@Files.Example.com//srv/a b/")
    assert location == SftpLocation(user="Me", host="files.example.com", directory="/srv/a b")
    assert location.url == "sftp://Me@files.example.com/srv/a b"
    assert location.key_of("c/d") == "/srv/a b/c/d"
    assert location.key_of("") == "/srv/a b"
    location = parse_sftp_url("sftp://me@[2001:DB8::1]:2222")
    assert (location.host, location.port, location.directory) == ("2001:db8::1", 2222, "/")
    assert location.url == "sftp://me@[2001:db8::1]:2222/"
    assert location.key_of("d") == "/d"
    assert location.key_of("") == "/"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sftp://files.example.com/srv", "expected sftp://USER@HOST/DIRECTORY"),
        ("sftp://me:secret@files.example.com/srv", "a password has a key of its own"),
        ("sftp://me@files.example.com/srv\n", "expected sftp://"),
        ("sftp://me@/srv", "expected sftp://"),
        ("sftp://me@files.example.com:0/srv", "the port must be"),
        ("sftp://me@files.example.com:99999/srv", "the port must be"),
        ("sftp://me@files.example.com/srv/../etc", r"without the segments"),
        ("sftp://me@files.example.com/~/a", r"must be absolute"),
        (f"sftp://me@files.example.com/{'a' * 2000}", "is longer than"),
    ],
)
def test_a_malformed_url_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_sftp_url(url)
