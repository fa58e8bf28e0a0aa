"""Settings of storages on other machines: `[[storages]]`; see `settings.py`."""

from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from downloadd.config.fields import ByteSize, Format, Text, describe

MIN_PART_BYTES: Final = 5 << 20
"""Bytes of each part but the last that S3 takes at least."""

DEFAULT_KNOWN_HOSTS: Final = "/etc/ssh/ssh_known_hosts"
"""File of OpenSSH with the host keys that are known to all users."""


class RemoteStorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[storages]]`: directories whose files are uploaded to object storage (S3) or an SFTP server.

    See docs/how-to/object-storage.md and docs/how-to/sftp.md. Credentials for S3 are those of the table, of its
    credentials file, or of the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. A login for
    SFTP has the key file or password of the table, or the password of the variable SSHPASS. It needs the extra `sftp`.
    """

    EXAMPLES: ClassVar = (
        ("path", "url", "region", "access_key_id", "secret_access_key", "session_token", "part_size"),
        ("path", "url", "endpoint", "credentials_file", "profile", "staging_size"),
        ("path", "url", "known_hosts_file", "private_key_file", "passphrase"),
        ("path", "url", "password"),
    )

    path: Annotated[
        Text,
        describe(
            "Directory below the storage root; it and all below it are in the other place.",
            examples=["Archive", "Backup", "Mirror", "Partner"],
            format=Format.DIRECTORY,
        ),
    ]
    url: Annotated[
        Text,
        describe(
            "Bucket, and the beginning of all keys; or user, host and absolute directory of an SFTP server.",
            examples=[
                "s3://example-files",
                "s3://backup/downloads",
                "sftp://downloads@files.example.com/srv/mirror",
                "sftp://acme@sftp.example.com:2222/incoming",
            ],
            format=Format.REMOTE_URL,
        ),
    ]
    endpoint: Annotated[
        str,
        describe(
            "S3: URL of the server; empty for Amazon S3 in the region.",
            examples=["", "https://minio.example.com:9000"],
            format=Format.ENDPOINT,
        ),
    ] = ""
    region: Annotated[
        Text,
        describe(
            "S3: region of the bucket, which requests are signed for.", examples=["eu-central-1"], format=Format.REGION
        ),
    ] = "us-east-1"
    access_key_id: Annotated[str, describe("S3: id of the access key.", examples=["AKIAEXAMPLE"], secret=True)] = ""
    secret_access_key: Annotated[str, describe("S3: the access key.", examples=["open sesame"], secret=True)] = ""
    session_token: Annotated[
        str, describe("S3: token of temporary credentials, if they have one.", examples=["AQoEXAMPLE"], secret=True)
    ] = ""
    credentials_file: Annotated[
        str,
        describe(
            "S3: shared credentials file of AWS. It is read again when the credentials are not accepted any more.",
            examples=["/etc/downloadd/s3-credentials", "/etc/downloadd/s3-credentials"],
            format=Format.PATH,
        ),
    ] = ""
    profile: Annotated[Text, describe("S3: profile in credentials_file.", examples=["default", "backup"])] = "default"
    private_key_file: Annotated[
        str,
        describe(
            "SFTP: private key of the user, in a format of OpenSSH or PEM.",
            examples=["/etc/downloadd/sftp-key"],
            format=Format.PATH,
        ),
    ] = ""
    passphrase: Annotated[
        str, describe("SFTP: passphrase of the private key, if it has one.", examples=["open sesame"], secret=True)
    ] = ""
    password: Annotated[str, describe("SFTP: password of the user.", examples=["open sesame"], secret=True)] = ""
    known_hosts_file: Annotated[
        Text,
        describe(
            "SFTP: keys of servers, as ssh has them in known_hosts. A server with another key is refused.",
            examples=["/etc/downloadd/known_hosts"],
            format=Format.PATH,
        ),
    ] = DEFAULT_KNOWN_HOSTS
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
            "Size of a part of an upload, of which four are in memory; S3 gets a smaller file by one request.",
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
