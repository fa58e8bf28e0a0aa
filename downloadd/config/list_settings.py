"""Settings of the tables that may occur several times, such as `[[users]]`; see `settings.py`."""

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from downloadd.config.fields import (
    EXPECTED_NAME,
    EXPECTED_QUOTA,
    NAME_PATTERN,
    ByteSize,
    Count,
    Format,
    QuotaSize,
    Text,
    describe,
)
from downloadd.download import Conflict
from downloadd.request_fields import Credentials, RequestFields, collect_request_fields
from downloadd.user_quota import UserQuota
from downloadd.users import Permission

ALL_PERMISSIONS: Final = tuple(permission.value for permission in Permission)
UNPRIVILEGED_PERMISSIONS: Final = tuple(each for each in ALL_PERMISSIONS if each != Permission.MANAGE_USERS)
"""Those of a user without `permissions`: an upgrade makes no administrators of users who were configured before."""

PROXY_SCHEMES: Final = ("http", "https")
"""Schemes of URLs that a proxy may be for."""


class CredentialConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[credentials]]`: credentials for an origin.

    They are sent to the named host and to no other. Request fields of a download have precedence over them.
    """

    EXAMPLES: ClassVar = (
        ("host", "headers", "cookies", "referer", "user_agent"),
        ("host", "user", "password"),
    )

    host: Annotated[
        Text,
        describe("Host that receives them.", examples=["files.example.com", "mirror.example.com"], format=Format.HOST),
    ]
    headers: Annotated[
        dict[str, str],
        describe("Header fields by name.", examples=[{"Authorization": "Bearer xoxb-0000"}], secret=True),
    ] = {}
    cookies: Annotated[dict[str, str], describe("Cookies by name.", examples=[{"session": "0123"}], secret=True)] = {}
    referer: Annotated[
        str,
        describe("Page that links to the files.", examples=["https://files.example.com/list"], secret=True),
    ] = ""
    user_agent: Annotated[
        str, describe("Name of the program that requests the files.", examples=["Mozilla/5.0"], secret=True)
    ] = ""
    user: Annotated[str, describe("User for HTTP authentication.", examples=["alice"], secret=True)] = ""
    password: Annotated[str, describe("Password of that user.", examples=["open sesame"], secret=True)] = ""

    @property
    def request_fields(self) -> RequestFields:
        """Return what requests to the host send, as far as it can be sent."""
        fields, _ = self.collect()
        return replace(fields, auth=Credentials(user=self.user, password=self.password) if self.user else None)

    def collect(self) -> tuple[RequestFields, list[tuple[str, str]]]:
        """Return the fields without user and password, and key and problem of all that cannot be sent."""
        return collect_request_fields(
            headers=self.headers.items(),
            cookies=self.cookies.items(),
            referer=self.referer or None,
            user_agent=self.user_agent or None,
        )

    def __repr__(self) -> str:
        """Return the host only, so that no log or traceback shows a secret."""
        return f"CredentialConfig(host={self.host!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the host only."""
        return [("host", self.host)]


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[proxies]]`: proxies that origins are reached through.

    The first table that is for a URL applies, unless the download names a proxy.
    """

    EXAMPLES: ClassVar = (
        ("name", "url", "user", "password", "hosts", "excluded_hosts", "schemes"),
        ("name", "url", "hosts"),
    )

    name: Annotated[
        str,
        Meta(pattern=NAME_PATTERN),
        describe(
            "Name that a download may state as its proxy.",
            examples=["office", "abroad"],
            expected=EXPECTED_NAME,
        ),
    ]
    url: Annotated[
        Text,
        describe(
            "Scheme, host and port: http, https, socks5, or socks5h for a SOCKS proxy that resolves names.",
            examples=["http://proxy.example.com:3128", "socks5://127.0.0.1:1080"],
            secret=True,
            format=Format.PROXY_URL,
        ),
    ]
    user: Annotated[str, describe("User for the proxy.", examples=["alice"], secret=True)] = ""
    password: Annotated[str, describe("Password of that user.", examples=["open sesame"], secret=True)] = ""
    hosts: Annotated[
        tuple[str, ...],
        describe(
            'Hosts that are reached through it, as in downloads.allowed_domains, or networks; "*" for all; empty for '
            "downloads that name it only.",
            examples=[["example.com", "*.example.com"], []],
            format=Format.PROXY_HOSTS,
        ),
    ] = ("*",)
    excluded_hosts: Annotated[
        tuple[str, ...],
        describe(
            "Hosts, and networks of addresses, that are not reached through it unless a download names it.",
            examples=[["intern.example.com", "10.0.0.0/8"]],
            format=Format.PROXY_HOSTS,
        ),
    ] = ()
    schemes: Annotated[
        tuple[str, ...],
        Meta(min_length=1),
        describe(
            "Schemes of the URLs that it is for.",
            examples=[list(PROXY_SCHEMES)],
            expected="a list of http and https",
            choices=PROXY_SCHEMES,
            choice_name="scheme",
        ),
    ] = PROXY_SCHEMES

    def __repr__(self) -> str:
        """Return name and hosts; the URL may hold a secret too."""
        return f"ProxyConfig(name={self.name!r}, hosts={self.hosts!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return name and hosts."""
        return [("name", self.name), ("hosts", self.hosts)]


class HostConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[hosts]]`: settings for one host, for downloads and webhooks."""

    host: Annotated[Text, describe("Host of the URLs.", examples=["nas.lan"], format=Format.HOST)]
    ca_file: Annotated[
        Text | UnsetType,
        describe(
            "PEM file of certificate authorities that are trusted for this host alone, besides those of the system and "
            "of downloads.ca_file.",
            examples=["/etc/downloadd/nas.pem"],
            expected="the path of a file",
            format=Format.CA_FILE,
        ),
    ] = UNSET
    client_certificate: Annotated[
        Text | UnsetType,
        describe(
            "PEM file with the certificate chain that is presented to the host, if it asks for one.",
            examples=["/etc/downloadd/client.pem"],
            expected="the path of a file",
            format=Format.PATH,
        ),
    ] = UNSET
    client_key: Annotated[
        Text | UnsetType,
        describe(
            "PEM file with its private key, which has no password; left out if client_certificate holds it too.",
            examples=["/etc/downloadd/client.key"],
            expected="the path of a file",
            format=Format.PATH,
        ),
    ] = UNSET
    min_tls_version: Annotated[
        Literal["1.2", "1.3"],
        describe("Oldest version of TLS that is accepted.", examples=["1.3"], expected='"1.2" or "1.3"'),
    ] = "1.2"
    bind_address: Annotated[
        Text | UnsetType,
        describe(
            "IP address of this machine that connections come from.",
            examples=["192.0.2.7"],
            expected="an IP address",
            format=Format.ADDRESS,
        ),
    ] = UNSET
    address_family: Annotated[
        Literal["any", "ipv4", "ipv6"],
        describe(
            "Addresses of the host that are connected to.",
            examples=["ipv4"],
            expected='"any", "ipv4" or "ipv6"',
        ),
    ] = "any"
    connect_timeout: Annotated[
        Annotated[float, Meta(ge=0.1, le=3600, extra={"unit": "seconds"})] | UnsetType,
        describe(
            "Time limit of a connection attempt; that of downloads.stall_timeout if it is left out.",
            unit="seconds",
            examples=[10],
            expected="a number from 0.1 to 3600",
        ),
    ] = UNSET
    slots: Annotated[
        Count | UnsetType,
        describe(
            "Downloads and connections that run at once from each origin of the host, in place of "
            "downloads.max_per_host.",
            examples=[2],
            expected="an integer from 1 to 1000000000",
        ),
    ] = UNSET


class DirectoryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[directories]]`: settings of a directory and of everything below it.

    If several tables apply, each key is that of the longest path that gives it, but all quotas apply. A key that no
    table gives is as in other directories.
    """

    path: Annotated[
        str, describe("Directory below the storage root.", examples=["team/reports"], format=Format.DIRECTORY)
    ]
    quota: Annotated[ByteSize | UnsetType, describe("Size of all files below it together.", examples=["100 GiB"])] = (
        UNSET
    )
    users: Annotated[
        Annotated[tuple[str, ...], Meta(min_length=1)] | UnsetType,
        describe(
            "Users who may start and change downloads there.",
            examples=[["d26x6zSkaPSe5gCyy"]],
            expected="a list of user ids",
        ),
    ] = UNSET
    conflict: Annotated[
        Conflict | UnsetType,
        describe(
            "rename, overwrite, skip or error: the policy for a taken name if the request has none.",
            examples=["error"],
            expected="rename, overwrite, skip or error",
        ),
    ] = UNSET
    skip_same: Annotated[
        bool | UnsetType,
        describe("Keep a file of the same name and content, if the request does not say.", examples=[True]),
    ] = UNSET
    owner: Annotated[
        Text | UnsetType,
        describe(
            "Owner of new files: user or user:group, by name or number. Needs root or CAP_CHOWN.",
            examples=["root:root"],
            format=Format.OWNER,
        ),
    ] = UNSET
    mode: Annotated[
        Annotated[str, Meta(pattern=r"^0?[0-7]{3}\Z")] | UnsetType,
        describe(
            "Permission bits of new files; new directories get the matching x bits.",
            examples=["0640"],
            expected='octal digits in quotes, such as "0640"',
        ),
    ] = UNSET


class UserConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[users]]`: users of the API.

    Without one, the first start creates a user with a random token and prints it. A token is kept as its hash only;
    `downloadctl new-token` makes one.
    """

    EXAMPLES: ClassVar = (
        ("id", "token_hash", "permissions"),
        ("id", "token_hash", "max_concurrent", "bytes_per_day", "time_zone", "stored_bytes"),
    )

    id: Annotated[
        str,
        Meta(min_length=1, max_length=128),
        describe(
            "Name in the history; X-User-Id if a client sends it.",
            examples=["d26x6zSkaPSe5gCyy", "bob"],
            format=Format.USER_ID,
        ),
    ]
    token_hash: Annotated[
        str,
        Meta(pattern=r"^sha256:[0-9a-f]{64}\Z"),
        describe(
            "SHA-256 of the token.",
            examples=[f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"],
            expected="sha256: and 64 lower-case hexadecimal digits, as `printf %s TOKEN | sha256sum` prints",
            secret=True,
        ),
    ]
    permissions: Annotated[
        tuple[str, ...],
        describe(
            "Permissions; all but manage-users if left out.",
            examples=[list(ALL_PERMISSIONS)],
            choices=ALL_PERMISSIONS,
            choice_name="permission",
        ),
    ] = UNPRIVILEGED_PERMISSIONS
    max_concurrent: Annotated[
        Count | UnsetType,
        describe(
            "Downloads of the user that run at once, on all nodes together; further ones wait.",
            examples=[2],
            expected="an integer from 1 to 1000000000",
        ),
    ] = UNSET
    bytes_per_day: Annotated[
        QuotaSize | UnsetType,
        describe(
            "Bytes that the downloads of the user receive in a day, on all nodes together; beyond it they wait for the "
            "next day.",
            examples=["50 GiB"],
            expected=EXPECTED_QUOTA,
        ),
    ] = UNSET
    stored_bytes: Annotated[
        QuotaSize | UnsetType,
        describe(
            "Bytes that the files of the user's downloads hold, with part files; what does not fit is refused.",
            examples=["500 GiB"],
            expected=EXPECTED_QUOTA,
        ),
    ] = UNSET
    time_zone: Annotated[
        Text,
        describe(
            "Time zone of the days of bytes_per_day, by its name in the IANA database.",
            examples=["Europe/Berlin"],
            format=Format.TIME_ZONE,
        ),
    ] = "UTC"

    @property
    def quota(self) -> UserQuota:
        """Return the quotas of the user."""
        return UserQuota(
            max_concurrent=None if self.max_concurrent is UNSET else self.max_concurrent,
            bytes_per_day=None if self.bytes_per_day is UNSET else self.bytes_per_day,
            stored_bytes=None if self.stored_bytes is UNSET else self.stored_bytes,
            time_zone=self.time_zone,
        )

    def __repr__(self) -> str:
        """Return id and permissions; a token that a person chose could be guessed from the hash."""
        return f"UserConfig(id={self.id!r}, permissions={self.permissions!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return id and permissions."""
        return [("id", self.id), ("permissions", self.permissions)]
