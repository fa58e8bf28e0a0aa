"""Rules for storages on other machines."""

from pathlib import Path

import pytest
from support.config_files import load, load_issues

SFTP = '[[storages]]\npath = "Mirror"\nurl = "sftp://me@Files.example.com:22//srv/"\n'
BASE = '[[storages]]\npath = "/Archive/"\nurl = "s3://bucket//a/"\n'


def test_a_storage_is_read_with_canonical_values(tmp_path: Path) -> None:
    (storage,) = load(tmp_path, f'{BASE}endpoint = "https://S3.example.com:9000/"\npart_size = "8 MiB"\n').storages
    assert (storage.path, storage.url, storage.endpoint) == ("Archive", "s3://bucket/a", "https://s3.example.com:9000")
    assert storage.part_size == 8 << 20
    (storage,) = load(tmp_path, SFTP).storages
    assert storage.url == "sftp://me@files.example.com/srv"


@pytest.mark.parametrize(
    ("rest", "key", "words"),
    [
        ('endpoint = "minio:9000"', "endpoint", "URL of a server"),
        ('region = "eu central"', "region", "expected a region"),
        ('part_size = "1 MiB"', "part_size", "5 MiB to 512 MiB"),
        ('access_key_id = "a"', "access_key_id", "is given without secret_access_key"),
        ('secret_access_key = "a"', "secret_access_key", "is given without access_key_id"),
        ('session_token = "a"', "session_token", "is given without access_key_id"),
        ('profile = "a"', "profile", "is given without credentials_file"),
        (
            'access_key_id = "a"\nsecret_access_key = "b"\ncredentials_file = "/c"',
            "credentials_file",
            "is given beside access_key_id",
        ),
        ('bucket = "a"', "bucket", "unknown"),
    ],
)
def test_a_wrong_setting_is_reported_with_its_key(tmp_path: Path, rest: str, key: str, words: str) -> None:
    (line,) = load_issues(tmp_path, f"{BASE}{rest}\n")
    assert f"storages[0].{key}" in line or f"storages.0.{key}" in line or key in line
    assert words in line


@pytest.mark.parametrize(
    ("base", "rest", "key", "words"),
    [
        (SFTP, 'endpoint = "https://example.com"', "endpoint", "is for S3 only; remove it, or give an s3:// url"),
        (SFTP, 'region = "eu-central-1"', "region", "is for S3 only"),
        (SFTP, 'passphrase = "open sesame"', "passphrase", "is given without private_key_file"),
        (SFTP, 'known_hosts_file = ""', "known_hosts_file", "empty"),
        (BASE, 'password = "open sesame"', "password", "is for SFTP only; remove it, or give an sftp:// url"),
        (BASE, 'known_hosts_file = "/k"', "known_hosts_file", "is for SFTP only"),
    ],
)
def test_a_setting_of_another_kind_of_storage_is_reported(
    tmp_path: Path, base: str, rest: str, key: str, words: str
) -> None:
    (line,) = load_issues(tmp_path, f"{base}{rest}\n")
    assert key in line
    assert words in line
    assert "sesame" not in line


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    (line,) = load_issues(tmp_path, f'{BASE}access_key_id = "a"\nsecret_access_key = "sesame\\n"\n')
    assert "sesame" not in line
    assert "cannot be sent" in line


@pytest.mark.parametrize("url", ["bucket", "s3://B", "https://bucket", "s3://bucket/../a", "sftp://host/srv"])
def test_a_wrong_url_is_reported(tmp_path: Path, url: str) -> None:
    (line,) = load_issues(tmp_path, f'[[storages]]\npath = "a"\nurl = "{url}"\n')
    assert "url" in line


@pytest.mark.parametrize(
    ("other", "words"),
    [("Archive", "already"), ("Archive/2026", "another storage"), ("/", "not the root itself")],
)
def test_directories_of_storages_lie_side_by_side(tmp_path: Path, other: str, words: str) -> None:
    (line,) = load_issues(tmp_path, f'{BASE}[[storages]]\npath = "{other}"\nurl = "s3://other"\n')
    assert words in line


def test_a_quota_in_a_bucket_is_refused(tmp_path: Path) -> None:
    (line,) = load_issues(tmp_path, f'{BASE}[[directories]]\npath = "Archive/a"\nquota = 5\n')
    assert "cannot be counted on another machine" in line
    load(tmp_path, f'{BASE}[[directories]]\npath = "Archived"\nquota = 5\n')


def test_the_credentials_file_is_not_below_the_root(tmp_path: Path) -> None:
    (line,) = load_issues(tmp_path, f'{BASE}credentials_file = "/srv/files/c"\n[storage]\nroot = "/srv/files"\n')
    assert "credentials_file" in line
