"""Nginx as origin, over HTTP and TLS, on free ports."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme
from support.ports import free_port
from support.waiting import CONDITION_TIMEOUT

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/octet-stream;
    sendfile on;
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        root {folder}/www;
        location /slow/ {{ alias {folder}/www/; limit_rate 1m; }}
        location /moved/ {{ return 302 /; }}
        location /auth/ {{
            alias {folder}/www/;
            auth_basic "files";
            auth_basic_user_file {folder}/htpasswd;
        }}
        {locations}
    }}
}}
"""


class NginxOrigin:
    """Nginx that serves `www`; `locations` is added to its server block."""

    def __init__(self, folder: Path, *, locations: str = "") -> None:
        self.folder = folder
        self.www = folder / "www"
        self.www.mkdir(parents=True)
        self.port, self.tls_port = free_port(), free_port()
        self.http = f"http://127.0.0.1:{self.port}"
        self.https = f"https://127.0.0.1:{self.tls_port}"
        self.ca = folder / "ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca))
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(folder / "cert.pem"), append=True)
        (folder / "htpasswd").write_text("someone:{PLAIN}secret\n")
        (folder / "nginx.conf").write_text(
            CONFIG.format(folder=folder, port=self.port, tls_port=self.tls_port, locations=locations)
        )

    def __enter__(self) -> Self:
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self._process = subprocess.Popen(
            [nginx, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", str(self.folder / "error.log")]
        )
        deadline = time.monotonic() + CONDITION_TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._process.kill()
                    self._process.wait()
                    raise AssertionError((self.folder / "error.log").read_text()) from None
                time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(CONDITION_TIMEOUT)

    def requests(self) -> list[str]:
        """Return the lines of the access log."""
        return (self.folder / "access.log").read_text().splitlines()
