"""Settings of object storages: `[[storages]]`; see `settings.py`."""

from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from downloadd.config.fields import ByteSize, Format, Text, describe

MIN_PART_BYTES: Final = 5 << 20
"""Bytes of each part but the last that S3 takes at least."""


class RemoteStorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[storages]]`: directories whose files are uploaded to object storage (S3). See docs/how-to/object-storage.md.

    Credentials are those of the table, of its credentials file, or of the variables AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
    """

    EXAMPLES: ClassVar = (
        ("path", "url", "region", "access_key_id", "secret_access_key", "session_token", "part_size"),
        ("path", "url", "endpoint", "credentials_file", "profile", "staging_size"),
    )

    path: Annotated[
        Text,
        describe(
            "Directory below the storage root; it and all below it are in the bucket.",
            examples=["Archive", "Backup"],
            format=Format.DIRECTORY,
        ),
    ]
    url: Annotated[
        Text,
        describe(
            "Bucket, and the beginning of all keys.",
            examples=["s3://example-files", "s3://backup/downloads"],
            format=Format.OBJECT_URL,
        ),
    ]
    endpoint: Annotated[
        str,
        describe(
            "URL of the server; empty for Amazon S3 in the region.",
            examples=["", "https://minio.example.com:9000"],
            format=Format.ENDPOINT,
        ),
    ] = ""
    region: Annotated[
        Text,
        describe(
            "Region of the bucket, which requests are signed for.", examples=["eu-central-1"], format=Format.REGION
        ),
    ] = "us-east-1"
    access_key_id: Annotated[str, describe("Id of the access key.", examples=["AKIAIOSFODNN7EXAMPLE"], secret=True)] = (
        ""
    )
    secret_access_key: Annotated[str, describe("The access key.", examples=["open sesame"], secret=True)] = ""
    session_token: Annotated[
        str, describe("Token of temporary credentials, if they have one.", examples=["AQoEXAMPLE"], secret=True)
    ] = ""
    credentials_file: Annotated[
        str,
        describe(
            "Shared credentials file of AWS. It is read again when the credentials are not accepted any more.",
            examples=["/etc/downloadd/s3-credentials", "/etc/downloadd/s3-credentials"],
            format=Format.PATH,
        ),
    ] = ""
    profile: Annotated[Text, describe("Profile in the credentials file.", examples=["default", "backup"])] = "default"
    staging_size: Annotated[
        ByteSize,
        describe(
            "Bytes of the disk for files that are not uploaded yet, at the same path below the storage root; 0 for no "
            "limit but that of the disk. A download that does not fit waits.",
            examples=["100 GiB", "100 GiB"],
        ),
    ] = 0
    part_size: Annotated[
        int,
        Meta(ge=MIN_PART_BYTES, le=512 << 20, extra={"size": True, "unit": "bytes"}),
        describe(
            "Size of a part of an upload, of which four are in memory; a smaller file is uploaded by one request.",
            examples=["64 MiB"],
            expected="5 MiB to 512 MiB",
        ),
    ] = 16 << 20

    def __repr__(self) -> str:
        """Return path and URL only, so that no log or traceback shows a secret."""
        return f"RemoteStorageConfig(path={self.path!r}, url={self.url!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return path and URL only."""
        return [("path", self.path), ("url", self.url)]
