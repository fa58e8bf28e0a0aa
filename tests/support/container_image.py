"""Image of a Containerfile, built and run without an engine: its steps run in a chroot over the files of this machine.

The base image is this machine with the Python of the tests. Each stage is an overlay above it. A container has the last
stage as a root file system that is read-only, its own process and mount namespaces, and no capabilities.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

BASE_PATH: Final = f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_VARIABLES: Final = (
    "PIP_",
    "SSL_CERT_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
"""Variables of this machine for the steps of the build, as an engine passes those of its host."""


class Image(msgspec.Struct, kw_only=True):
    """The last stage of a Containerfile."""

    folder: Path
    """Files that the stage adds to those of the base."""
    environment: dict[str, str] = {}
    directory: str = "/"
    user: str = "0:0"
    volumes: list[str] = []
    entrypoint: list[str] = []
    health_check: str = ""


def can_build() -> bool:
    """Return True if this process may mount an overlay."""
    script = (
        'mount -t tmpfs t "$1" && cd "$1" && mkdir u w r && mount -t overlay o -o lowerdir=/,upperdir=u,workdir=w r'
    )
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", "/mnt"], check=False).returncode == 0


def parse(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and arguments of the instructions of a Containerfile."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for instruction in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if instruction.strip():
            name, _, rest = instruction.strip().partition(" ")
            yield name.upper(), rest.strip()


def build(containerfile: Path, context: Path, folder: Path) -> Image:
    """Run the steps of a Containerfile, and return its image, whose files are below `folder`."""
    arguments: dict[str, str] = {}
    stages: dict[str, Image] = {}
    image = Image(folder=folder)
    for name, rest in parse(containerfile.read_text()):
        rest = re.sub(r"\$\{(\w+)\}", lambda found: arguments.get(found[1], found[0]), rest)
        match name:
            case "FROM":
                image = Image(folder=folder / f"stage-{len(stages)}", environment={"PATH": BASE_PATH})
                image.folder.mkdir(parents=True)
                stages[rest.partition(" AS ")[2] or str(len(stages))] = image
            case "ARG":
                key, _, value = rest.partition("=")
                arguments[key] = value
            case "ENV":
                key, _, value = rest.partition("=")
                image.environment[key] = value
            case "WORKDIR":
                image.directory = rest
                _run(image, ["mkdir", "-p", rest])
            case "COPY":
                _copy(image, rest.split(), context, stages)
            case "RUN":
                _run(image, ["sh", "-c", f"cd {shlex.quote(image.directory)} && {rest}"])
            case "VOLUME":
                image.volumes.append(rest)
            case "USER":
                image.user = rest
            case "HEALTHCHECK":
                image.health_check = rest.partition("CMD ")[2]
            case "ENTRYPOINT":
                image.entrypoint = json.loads(rest)
            case "EXPOSE":
                pass
            case _:
                raise AssertionError(f"unknown instruction {name}")
    # The Python of this image is that of the machine, in another directory than that of the base image.
    image.environment["PATH"] += f":{BASE_PATH}"
    return image


def container_command(
    image: Image, folder: Path, *, user: str = "", environment: Mapping[str, str] | None = None, ids: str = ""
) -> list[str]:
    """Return the command that runs its arguments as process 1 of a container, whose volumes are below `folder`.

    `user` replaces that of the image; `ids` are the owner and group of the volumes, otherwise as in the image.
    """
    mounts = []
    for volume in image.volumes:
        place = folder / volume.strip("/").replace("/", "-")
        if not place.exists():
            # An engine fills a new volume with the directory of the image, and its owner.
            subprocess.run(["cp", "-a", f"{image.folder}{volume}", place], check=True)
            if ids:
                subprocess.run(["chown", ids, place], check=True)
        mounts.append(f'mount --bind {shlex.quote(str(place))} "$root{volume}"')
    variables = [f"{key}={value}" for key, value in {**image.environment, **(environment or {})}.items()]
    id, _, group = (user or image.user).partition(":")
    limits = "--no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid"
    enter = f"exec setpriv {limits} chroot --userspec={id}:{group} --groups= ."
    script = "\n".join(
        [
            _mount_script(image.folder),
            'mount -o remount,ro "$root"',
            *mounts,
            'mount -t tmpfs -o mode=1777 tmpfs "$root/tmp" && mount -t proc proc "$root/proc"',
            'mount --rbind /dev "$root/dev"',
            'directory=$1 && shift && cd "$root"',
            f'{enter} /usr/bin/env -i --chdir="$directory" "$@"',
        ]
    )
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return [*namespaces, "sh", "-euc", script, "sh", image.directory, *variables]


def _mount_script(folder: Path) -> str:
    """Return shell commands that mount the files of a stage above the base, at `$root`."""
    quoted = shlex.quote(str(folder))
    # The home directory of root has the Python of some machines, and is closed to other users.
    opened = [f'chmod go+x "$root{parent}"' for parent in Path(sys.base_prefix).parents if str(parent) != "/"]
    return "\n".join(
        [
            f"work={quoted}.work && root=$work/root && rm -rf $work/work && mkdir -p $work/work $root",
            f"mount -t overlay overlay -o lowerdir=/,upperdir={quoted},workdir=$work/work $root",
            *opened,
        ]
    )


def _run(image: Image, command: Sequence[str]) -> None:
    variables = [f"{key}={value}" for key, value in os.environ.items() if key.startswith(PASSED_VARIABLES)]
    # The root of a container is read-only: what is not compiled here is compiled at each start of a program.
    own = {"HOME": "/root", "PIP_COMPILE": "1", **image.environment}
    variables += [f"{key}={value}" for key, value in own.items()]
    script = f'{_mount_script(image.folder)}\nexec chroot "$root" env -i "$@"'
    whole = ["unshare", "--mount", "sh", "-euc", script, "sh", *variables, *command]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def _copy(image: Image, words: list[str], context: Path, stages: Mapping[str, Image]) -> None:
    """Copy files of the context, or of another stage, as COPY does: the contents of directories."""
    source = context
    if words[0].startswith("--from="):
        source = stages[words.pop(0).removeprefix("--from=")].folder
    *names, target = words
    place = image.folder / os.path.join(image.directory, target).lstrip("/")
    for name in names:
        origin = source / name.lstrip("/")
        into = place / origin.name if target.endswith("/") else place
        into.parent.mkdir(parents=True, exist_ok=True)
        arguments = [f"{origin}/.", into] if origin.is_dir() else [origin, into]
        if origin.is_dir():
            into.mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", *arguments], check=True)
