"""Web servers that demand Digest authentication: lighttpd and Apache, on free ports."""

import hashlib
import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import msgspec
from support.ports import free_port
from support.waiting import CONDITION_TIMEOUT

USER: Final = "ann"
PASSWORD: Final = 'hush 4711:"ü@'
"""A password whose characters have a meaning in URLs, quoted strings and Basic."""
REALM: Final = "the files"

LIGHTTPD_CONFIG: Final = """
server.modules = ("mod_auth", "mod_authn_file", "mod_accesslog")
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{folder}/www"
server.errorlog = "{folder}/error.log"
# Lines that go to a program are written at once, those that go to a file up to four seconds later.
accesslog.filename = "|cat >> {folder}/access.log"
accesslog.format = "%s %{{Range}}i %r %{{Authorization}}i"
auth.backend = "htdigest"
auth.backend.htdigest.userfile = "{folder}/users"
auth.require = ("/" => ("method" => "digest", "realm" => "{realm}", "require" => "valid-user", {keys}))
"""

APACHE_CONFIG: Final = """
Listen 127.0.0.1:{port}
ServerName localhost
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/pid
Mutex default:{folder}
ErrorLog {folder}/error.log
{modules}
# Apache refuses to serve as root.
User nobody
Group nogroup
StartServers 1
ServerLimit 1
ThreadsPerChild 32
MaxRequestWorkers 32
LogFormat "%>s %{{Range}}i %r %{{Authorization}}i" fields
CustomLog {folder}/access.log fields
DocumentRoot {folder}/www
<Location "/">
    AuthType Digest
    AuthName "{realm}"
    AuthUserFile {folder}/users
    Require valid-user
    {lines}
</Location>
"""
APACHE_MODULES: Final = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_digest")


class LoggedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request of an access log."""

    status: int
    range: str
    """`-` without one."""
    target: str
    authorization: str
    """As the server logs it: quotation marks have a backslash before them."""


class DigestServer(ABC):
    """Server of the files in `www`, which asks for Digest.

    Attributes:
        folder: folder of its files; the server may run as another user, who can read it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.www = folder / "www"
        self.www.mkdir()
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, path: str, *, user: str = "", password: str = "") -> str:
        """Return the URL of a path, with userinfo if there is a user."""
        userinfo = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"http://{userinfo}127.0.0.1:{self.port}{path}"

    def requests(self) -> list[LoggedRequest]:
        """Return the requests that have ended, as the server logs them."""
        log = self.folder / "access.log"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        found = []
        for line in lines:
            # The last line may be incomplete.
            if line.endswith("\n"):
                status, range, _, target, _, authorization = line.removesuffix("\n").split(" ", 5)
                found.append(LoggedRequest(status=int(status), range=range, target=target, authorization=authorization))
        return found

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command that runs the server in the foreground."""

    def start(self) -> None:
        """Start the server and wait until its port accepts connections."""
        self._process = subprocess.Popen(self.command())
        deadline = time.monotonic() + CONDITION_TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._process.kill()
                    self._process.wait()
                    raise AssertionError((self.folder / "error.log").read_text()) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """End the server, and the transfers that run."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(CONDITION_TIMEOUT)
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()


class Lighttpd(DigestServer):
    """Lighttpd with one or several algorithms, separated by `|`: `MD5`, `SHA-256`; `hashes_user` asks for userhash."""

    def __init__(self, folder: Path, *, algorithms: str, hashes_user: bool = False) -> None:
        super().__init__(folder)
        keys = f'"algorithm" => "{algorithms}"'
        if hashes_user:
            keys += ', "userhash" => "enable"'
        (folder / "users").write_text(_user_line("sha256") + _user_line("md5"))
        (folder / "lighttpd.conf").write_text(
            LIGHTTPD_CONFIG.format(port=self.port, folder=folder, realm=REALM, keys=keys)
        )

    def command(self) -> Sequence[str]:
        return [_find_program("lighttpd"), "-D", "-f", str(self.folder / "lighttpd.conf")]


class Apache(DigestServer):
    """Apache with mod_auth_digest, which knows MD5 only; each start makes the nonces of the one before stale.

    `nonce_seconds` is the lifetime of a nonce; with 0, each request needs a new one, which the response before names.
    """

    def __init__(self, folder: Path, *, nonce_seconds: int = 300) -> None:
        super().__init__(folder)
        modules = "\n".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in APACHE_MODULES
        )
        (folder / "users").write_text(_user_line("md5", hashes_user=False))
        (folder / "apache.conf").write_text(
            APACHE_CONFIG.format(
                port=self.port,
                folder=folder,
                realm=REALM,
                modules=modules,
                lines=f"AuthDigestNonceLifetime {nonce_seconds}",
            )
        )

    def command(self) -> Sequence[str]:
        return [_find_program("apache2"), "-DFOREGROUND", "-f", str(self.folder / "apache.conf")]


def make_server_folder() -> Path:
    """Return a new folder that another user can read; those of pytest are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="downloadd-server-"))
    folder.chmod(0o755)
    return folder


def _user_line(algorithm: str, *, hashes_user: bool = True) -> str:
    def digest(text: str) -> str:
        return hashlib.new(algorithm, text.encode()).hexdigest()

    line = f"{USER}:{REALM}:{digest(f'{USER}:{REALM}:{PASSWORD}')}"
    return f"{line}:{digest(f'{USER}:{REALM}')}\n" if hashes_user else f"{line}\n"


def _find_program(name: str) -> str:
    return shutil.which(name) or f"/usr/sbin/{name}"
