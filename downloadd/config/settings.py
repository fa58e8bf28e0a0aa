"""Settings: one frozen struct for each table of the configuration, described field by field.

A field carries everything that is known of its setting: type, default, description, unit, examples, flag, former name.
Example file, reference page and `--help` are generated from it. `EXAMPLES` has the fields of each example table.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from downloadd.config.fields import ByteSize, Count, Format, LongSeconds, Port, Seconds, Text, WholeSeconds, describe
from downloadd.config.hook_settings import HookConfig
from downloadd.config.limit_settings import LimitConfig
from downloadd.config.list_settings import CredentialConfig, DirectoryConfig, HostConfig, ProxyConfig, UserConfig
from downloadd.config.rule_settings import RuleConfig
from downloadd.config.schedule_settings import ScheduleConfig
from downloadd.config.storage_settings import RemoteStorageConfig
from downloadd.config.watch_settings import WatchConfig

MaxConcurrent = Annotated[Count, describe("Downloads that run at once.")]
MaxPerHost = Annotated[
    Count,
    describe("Downloads that receive at once from one origin (scheme, host and port), also if redirects lead there."),
]

DEFAULT_PORTS_ALLOWED: Final = (80, 443, "1024-65535")
"""The ports of HTTP, and all that a server may bind without privileges."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: listeners of the API and the state directory."""

    host: Annotated[
        Text,
        describe(
            'Address or name to listen on; "0.0.0.0" for all interfaces by IPv4, "::" by IPv6 and IPv4.',
            flag="--host",
            metavar="H",
            format=Format.LISTEN_HOST,
        ),
    ] = "127.0.0.1"
    port: Annotated[
        Port, describe("Port to listen on; 0 picks a free one, which the log names.", flag="--port", metavar="N")
    ] = 8080
    listen: Annotated[
        tuple[str, ...],
        describe(
            "Addresses and Unix sockets to listen on instead of host. An address without a port has that of port.",
            examples=[["127.0.0.1:8080", "[::1]:8080", "unix:/run/downloadd/api.sock"]],
            format=Format.LISTEN_ADDRESS,
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        describe(
            "Names that clients may call this server by, besides the names of the machine.",
            examples=[["dl.example.com"]],
            former_name="hosts",
            format=Format.DOMAIN,
        ),
    ] = ()
    allowed_origins: Annotated[
        tuple[str, ...],
        describe(
            'Origins of other web pages and of browser extensions that may call, with a token; "*" for all.',
            examples=[["https://tools.example.com"]],
            format=Format.ORIGIN,
        ),
    ] = ()
    base_path: Annotated[
        str,
        describe(
            "Prefix of every path, behind a proxy that serves other programs too.",
            examples=["/downloads-api"],
            format=Format.BASE_PATH,
        ),
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        describe(
            'Networks whose X-Forwarded-* and Forwarded are believed; "unix" for the Unix socket.',
            examples=[["10.0.0.5", "unix"]],
            format=Format.PROXY,
        ),
    ] = ()
    unix_socket: Annotated[
        str,
        describe(
            "Path of a Unix socket to listen on too, open to its owner and group.",
            examples=["/run/downloadd/api.sock"],
            format=Format.SOCKET_PATH,
        ),
    ] = ""
    tls_cert: Annotated[
        str,
        describe(
            "PEM file with the certificate chain; the API then speaks TLS. SIGHUP reads it again.", format=Format.PATH
        ),
    ] = ""
    tls_key: Annotated[
        str, describe('PEM file with the private key; "" if tls_cert holds it too.', format=Format.PATH)
    ] = ""
    max_failed_logins: Annotated[
        int,
        Meta(ge=0, le=1_000_000),
        describe(
            "Wrong credentials that one address may send in a minute before it has to wait; 0 for no limit.",
            former_name="failed_logins",
        ),
    ] = 50
    access_log: Annotated[
        bool,
        describe(
            "Log a line for each request. Those of health and metrics that succeed are logged at the level debug."
        ),
    ] = True
    state_dir: Annotated[
        str,
        describe(
            'Directory of the records and the first token; "" for $STATE_DIRECTORY, else $XDG_STATE_HOME/downloadd.',
            flag="--state-dir",
            metavar="DIR",
            format=Format.PATH,
        ),
    ] = ""


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[cluster]`: a PostgreSQL database in place of the SQLite file in the state directory."""

    database: Annotated[
        str,
        describe(
            'URL of a PostgreSQL database (15 or newer) for the records; "" for an SQLite file in state_dir. Needs the '
            "extra of the package: pip install 'downloadd[cluster]'. One daemon uses it, and names its [[users]].",
            examples=["postgresql://downloadd@db.example.com/downloadd"],
            format=Format.DATABASE_URL,
            secret=True,
        ),
    ] = ""
    node: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9._-]{0,64}\Z"),
        describe(
            'Name of this daemon among the nodes of the database; "" for the host name of the machine.',
            examples=["alpha"],
            expected="up to 64 letters, digits, dots, hyphens and underscores",
        ),
    ] = ""
    lease: Annotated[
        float,
        Meta(ge=1, le=300),
        describe(
            "Time without a heartbeat after which this node counts as gone; its health is 503 a little earlier.",
            unit="seconds",
        ),
    ] = 15.0

    def __repr__(self) -> str:
        """Return no value: the URL may hold a password."""
        return "ClusterConfig(...)"


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[storage]`: the place of the files."""

    root: Annotated[
        Text,
        describe(
            "Directory that all files are stored below; created if it is missing.",
            flag="--root",
            metavar="DIR",
            format=Format.PATH,
        ),
    ] = "downloads"
    min_free: Annotated[
        ByteSize,
        describe("Free space that stays: a download that needs more waits or is stopped, an upload is refused."),
    ] = 1 << 30
    keep_parts: Annotated[
        WholeSeconds,
        describe(
            "Time for which a failed download keeps its part file, so that a retry continues from it; 0 for not at "
            "all. The oldest part files are removed earlier when a download or upload needs their space."
        ),
    ] = 7 * 86_400
    fsync: Annotated[
        bool,
        describe(
            "Write files to stable storage before they are reported as completed. "
            "false is faster, but a power failure may lose or zero them."
        ),
    ] = True
    reuse: Annotated[
        bool,
        describe(
            "Copy the file of an earlier download of the same URL, in any directory, if the origin confirms that it "
            "has the same version still. The copy shares the blocks of the file where the file system can."
        ),
    ] = False


class DownloadsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[downloads]`: permitted origins, limits, timeouts and retries."""

    enabled: Annotated[
        bool,
        describe(
            "Let users start downloads; otherwise they are refused.", flag="--allow-download", former_name="allow"
        ),
    ] = False
    allowed_domains: Annotated[
        tuple[str, ...],
        describe(
            'Hosts that files may come from; "*.example.com" stands for all subdomains; empty for all hosts.',
            examples=[["example.com", "*.example.com"]],
            flag="--allow-domain",
            metavar="D",
            format=Format.DOMAIN,
        ),
    ] = ()
    allowed_networks: Annotated[
        tuple[str, ...],
        describe(
            "Networks that files may come from besides the public internet.",
            examples=[["10.0.0.0/8"]],
            format=Format.NETWORK,
        ),
    ] = ()
    allowed_ports: Annotated[
        tuple[int | str, ...],
        describe(
            "Ports of origins; ranges include both ends.",
            expected='a list of ports and ranges, such as [80, 443, "1024-65535"]',
            format=Format.PORTS,
        ),
    ] = DEFAULT_PORTS_ALLOWED
    ca_file: Annotated[
        str,
        describe(
            "PEM file of certificate authorities that are trusted besides those of the system. SIGHUP reads it again.",
            examples=["/etc/downloadd/ca.pem"],
            format=Format.CA_FILE,
        ),
    ] = ""
    netrc: Annotated[
        str,
        describe(
            "netrc file with logins for hosts, which [[credentials]] replace. Only its owner may read it. SIGHUP reads "
            "it again.",
            examples=["/etc/downloadd/netrc"],
            format=Format.NETRC,
        ),
    ] = ""
    proxy_from_environment: Annotated[
        bool,
        describe(
            "Use http_proxy, https_proxy, all_proxy and no_proxy of the environment for hosts that no table of "
            "[[proxies]] includes."
        ),
    ] = False
    proxy_dns: Annotated[
        Literal["local", "proxy"],
        describe(
            'Place where names of origins behind a proxy are resolved: "local", so that allowed_networks holds for '
            'them too, or "proxy".',
            expected='"local" or "proxy"',
        ),
    ] = "local"
    timeout: Annotated[
        WholeSeconds,
        describe(
            "Time limit of a download whose request names none; 0 for no limit. Waits for speed limits do not "
            "count. The page and downloadctl ask for no limit."
        ),
    ] = 300
    stall_timeout: Annotated[
        Seconds, describe("Time without a byte after which an attempt is aborted; 0 for no limit.")
    ] = 60
    max_concurrent: MaxConcurrent = 16
    max_per_host: MaxPerHost = 4
    max_queued: Annotated[Count, describe("Downloads that may wait in the queue.")] = 1_000_000
    max_size: Annotated[ByteSize, describe("Size of the largest file; 0 for no limit.", examples=["4 GiB"])] = 0
    segments: Annotated[
        int, Meta(ge=1, le=16), describe("Parallel connections for one file, 1 to 16, if the request does not say.")
    ] = 1
    max_retries: Annotated[
        int,
        Meta(ge=0, le=1000),
        describe(
            "Attempts in a row after the first one that receive nothing new, before a download fails. With the "
            "default, its timeout or retry_for ends it before. Attempts that fail because the host cannot be reached "
            "are not counted.",
            former_name="retries",
        ),
    ] = 1000
    retry_for: Annotated[
        WholeSeconds,
        describe(
            "Time without new bytes after which a download fails whose attempts fail; 0 for no limit. Its timeout ends "
            "it before, unless its host has answered and cannot be reached any more."
        ),
    ] = 86_400
    speed_limit: Annotated[
        ByteSize,
        describe("Speed of all downloads together; 0 for no limit.", unit="bytes per second", examples=["10 MiB"]),
    ] = 0
    resume: Annotated[
        Literal["evidence", "strict"],
        describe(
            'Proof that received bytes can be continued: "strict" requires a strong validator or a digest; "evidence" '
            "also accepts the same length and bytes, received again and compared.",
            expected='"evidence" or "strict"',
        ),
    ] = "evidence"
    record_checksum: Annotated[bool, describe("Record the SHA-256 of every file in the history.")] = False


class HistoryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[history]`: the finished downloads that are kept; files are not removed with them."""

    keep: Annotated[
        LongSeconds,
        describe("Time for which finished downloads stay in the history; 0 for ever.", examples=[31_536_000]),
    ] = 0
    keep_count: Annotated[
        int,
        Meta(ge=0, le=1_000_000_000),
        describe("Finished downloads that stay in the history, the newest ones; 0 for all.", examples=[100_000]),
    ] = 0


class ImportsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[imports]`: import of export files."""

    directory: Annotated[
        str, describe("Directory below the storage root for the files that imports name.", format=Format.DIRECTORY)
    ] = "Imports"
    max_upload_size: Annotated[
        ByteSize, describe("Size of the largest file that POST /api/v1/imports accepts.", former_name="max_upload")
    ] = 4 << 30


class Aria2Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[aria2]`: the RPC interface of aria2.

    It serves JSON-RPC and WebSocket at `/jsonrpc`, XML-RPC at `/rpc`. The secret that a client asks for (`rpc-secret`)
    is the token of a user.
    """

    enabled: Annotated[bool, describe("Serve /jsonrpc and /rpc.")] = True
    notify: Annotated[
        Literal["authenticated", "all"],
        describe(
            'WebSockets that receive notifications: "authenticated" for those that sent the token of a user who may '
            'see downloads, "all" for clients that only listen and never send one.',
            expected='"authenticated" or "all"',
        ),
    ] = "authenticated"
    allow_shutdown: Annotated[bool, describe("Let aria2.shutdown and aria2.forceShutdown stop the daemon.")] = False
    allow_origins: Annotated[
        tuple[str, ...],
        describe(
            'Origins of the web pages and browser extensions that may call; "*" for all. A call needs a token in any '
            "case. Programs send no origin.",
            examples=[["https://ariang.example.com"]],
            format=Format.ORIGIN,
        ),
    ] = ("*",)
    port: Annotated[
        Port,
        describe(
            "Further port to listen on, for these paths alone, at the addresses of the server; 6800 for clients that "
            "cannot be given a port, 0 for none."
        ),
    ] = 0


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    server: ServerConfig = ServerConfig()
    cluster: ClusterConfig = ClusterConfig()
    storage: StorageConfig = StorageConfig()
    downloads: DownloadsConfig = DownloadsConfig()
    history: HistoryConfig = HistoryConfig()
    imports: ImportsConfig = ImportsConfig()
    aria2: Aria2Config = Aria2Config()
    limits: tuple[LimitConfig, ...] = ()
    hosts: tuple[HostConfig, ...] = ()
    proxies: tuple[ProxyConfig, ...] = ()
    credentials: tuple[CredentialConfig, ...] = ()
    directories: tuple[DirectoryConfig, ...] = ()
    storages: tuple[RemoteStorageConfig, ...] = ()
    schedules: tuple[ScheduleConfig, ...] = ()
    hooks: tuple[HookConfig, ...] = ()
    rules: tuple[RuleConfig, ...] = ()
    watch: tuple[WatchConfig, ...] = ()
    users: tuple[UserConfig, ...] = ()
