"""Sources of credentials."""

from pathlib import Path

import pytest

from downloadd.storage.objects.credentials import CredentialsError, read_credentials_file, read_environment
from downloadd.storage.objects.signature import ObjectCredentials

FILE = """
# Two accounts
[default]
aws_access_key_id = AKID
aws_secret_access_key = s%cret=

[other]
aws_access_key_id=OTHER
aws_secret_access_key=secret
aws_session_token=token
region = eu-central-1
"""


def test_a_profile_of_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(FILE)
    read = [read_credentials_file(str(tmp_path / "credentials"), profile) for profile in ("default", "other")]
    assert [(each.access_key_id, each.secret_access_key, each.session_token) for each in read] == [
        ("AKID", "s%cret=", ""),
        ("OTHER", "secret", "token"),
    ]


def test_a_file_without_credentials_is_refused_in_words_without_secrets(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    with pytest.raises(CredentialsError, match="cannot be read: No such file"):
        read_credentials_file(str(path), "default")
    path.write_bytes(b"\xff")
    with pytest.raises(CredentialsError, match="not a text"):
        read_credentials_file(str(path), "default")
    path.write_text("open sesame")
    with pytest.raises(CredentialsError, match="not a credentials file") as caught:
        read_credentials_file(str(path), "default")
    assert "sesame" not in str(caught.value)
    path.write_text("[default]\naws_access_key_id = a\n")
    with pytest.raises(CredentialsError, match=r"no profile \[other\]"):
        read_credentials_file(str(path), "other")
    with pytest.raises(CredentialsError, match="has no aws_secret_access_key"):
        read_credentials_file(str(path), "default")


def test_the_environment_is_read() -> None:
    variables = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
    assert read_environment(variables) == ObjectCredentials(access_key_id="a", secret_access_key="b", session_token="c")
    with pytest.raises(CredentialsError, match="the environment has no AWS_SECRET_ACCESS_KEY"):
        read_environment({"AWS_ACCESS_KEY_ID": "a"})
