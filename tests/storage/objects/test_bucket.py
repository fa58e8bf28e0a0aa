"""One bucket: retries, pauses, and credentials that change."""

from pathlib import Path

import pytest
from aiohttp import web
from support.object_server import ObjectProxy, answer_error, drop_connection, make_storage

from downloadd.errors import StorageAwayError
from downloadd.storage.objects.credentials import CredentialsError


async def test_a_failure_that_passes_is_not_noticed(object_proxy: ObjectProxy, bucket: str) -> None:
    async def fail_once(request: web.Request) -> web.StreamResponse | None:
        return answer_error(503, "SlowDown") if len(object_proxy.requests) == 1 else None

    object_proxy.before = fail_once
    async with make_storage(object_proxy.url, bucket) as storage:
        assert await storage.find("f") is None
    assert object_proxy.requests == ["HEAD"] * 2


async def test_a_server_that_does_not_answer_is_not_asked_by_each_download(
    object_proxy: ObjectProxy, bucket: str
) -> None:
    object_proxy.before = drop_connection
    async with make_storage(object_proxy.url, bucket) as storage:
        with pytest.raises(StorageAwayError, match=r"the object storage of d \(s3://.*\) does not answer"):
            await storage.find("f")
        asked = len(object_proxy.requests)
        with pytest.raises(StorageAwayError, match="does not answer"):
            await storage.check()
        assert len(object_proxy.requests) == asked


async def test_credentials_of_a_file_are_read_again_when_they_are_refused(
    object_proxy: ObjectProxy, bucket: str, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = a\n")

    async def check(request: web.Request) -> web.StreamResponse | None:
        if "NEW/" not in request.headers["Authorization"] or "x-amz-security-token" not in request.headers:
            return answer_error(403, "ExpiredToken")
        return None

    object_proxy.before = check
    async with make_storage(object_proxy.url, bucket, credentials_file=str(file)) as storage:
        with pytest.raises(StorageAwayError, match="does not accept the credentials"):
            await storage.check()
        file.unlink()
        with pytest.raises(StorageAwayError, match="does not accept the credentials"):
            await storage.check()
        file.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = a\naws_session_token = token\n")
        with pytest.raises(StorageAwayError, match="does not accept the credentials"):
            await storage.check()
        await storage.check()


async def test_credentials_of_the_environment_are_used(object_proxy: ObjectProxy, bucket: str) -> None:
    async def check(request: web.Request) -> web.StreamResponse | None:
        return None if "Credential=VARIABLE/" in request.headers["Authorization"] else answer_error(403, "AccessDenied")

    object_proxy.before = check
    variables = {"AWS_ACCESS_KEY_ID": "VARIABLE", "AWS_SECRET_ACCESS_KEY": "a"}
    async with make_storage(object_proxy.url, bucket, environment=variables, region="eu-central-1") as storage:
        await storage.check()
    with pytest.raises(CredentialsError, match="AWS_ACCESS_KEY_ID"):
        async with make_storage(object_proxy.url, bucket, region="eu-central-1"):
            pass
