"""Every behaviour of docs/explanation/servers.md, played to one daemon, at the same time."""

import asyncio
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
import trustme
from end_to_end.server_behaviours.answers import MESSAGES, REDIRECTS, STATUSES
from end_to_end.server_behaviours.behaviour import Behaviour
from end_to_end.server_behaviours.changes import CHANGES
from end_to_end.server_behaviours.connections import CONNECTIONS, TLS
from end_to_end.server_behaviours.resumes import RESUMES
from end_to_end.server_behaviours.stage import Outcome, Stage, Surroundings, addresses
from support.daemon_process import DaemonProcess, make_config
from support.machine import not_allowed
from support.nginx_origin import NginxOrigin

BEHAVIOURS: Final = (*RESUMES, *CHANGES, *STATUSES, *REDIRECTS, *MESSAGES, *CONNECTIONS, *TLS)
EVIDENCE: Final = {
    each.name: match[1] for each in BEHAVIOURS if (match := re.search(r"continued by (\w+)", each.outcome))
}
"""Evidence by the name of each behaviour after which a transfer continues."""

TABLES: Final = (Path(__file__).parents[2] / "docs/explanation/servers.md").read_text()
ROWS: Final = re.findall(r"^\| `([\w.-]+)` \|[^|]+\|[^|]+\| ([^|]+) \|[^|]+\|$", TABLES, re.MULTILINE)

PLAY_SECONDS: Final = 45.0
"""Seconds that a behaviour may take on a machine with other load."""

NAMES_SCRIPT: Final = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"'

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, nginx: NginxOrigin) -> Mapping[str, Outcome]:
    """Play all behaviours to one daemon; return their outcomes by name."""
    return asyncio.run(play_all(tmp_path_factory.mktemp("servers"), nginx))


async def play_all(folder: Path, nginx: NginxOrigin) -> Mapping[str, Outcome]:
    """Play all behaviours at the same time; return the outcomes by name."""
    authority, private_authority = trustme.CA(), trustme.CA()
    trusted, private = folder / "trusted.pem", folder / "private.pem"
    authority.cert_pem.write_to_path(str(trusted))
    private_authority.cert_pem.write_to_path(str(private))
    config = make_config(max_retries=2, stall_timeout=3, max_concurrent=200)
    number = [each.name for each in BEHAVIOURS].index("tls-private-authority")
    config += f'[[hosts]]\nhost = "{addresses(number)[0]}"\nca_file = "{private}"\n'
    hosts, launcher = make_names_launcher(folder)
    daemon = DaemonProcess(folder, config=config, environment={"SSL_CERT_FILE": str(trusted)}, launcher=launcher)
    async with daemon:
        shared = Surroundings(
            daemon=daemon, nginx=nginx, authority=authority, private_authority=private_authority, hosts=hosts
        )
        async with asyncio.TaskGroup() as tasks:
            played = {
                each.name: tasks.create_task(play(each, shared, number))
                for number, each in enumerate(BEHAVIOURS)
                if hosts is not None or not each.needs_names
            }
        assert "Traceback" not in daemon.log.read_text()
    return {name: task.result() for name, task in played.items()}


async def play(behaviour: Behaviour, shared: Surroundings, number: int) -> Outcome:
    """Play one behaviour; return its outcome, also if it fails in another way than the table can say."""
    stage = Stage(shared, name=behaviour.name, number=number, content=behaviour.content)
    try:
        async with asyncio.timeout(PLAY_SECONDS):
            text = await behaviour.play(stage)
    except Exception as error:  # noqa: BLE001 - it fails the test of this behaviour, not those of the others
        text = repr(error)
    return Outcome(
        text=text,
        resumed_by=stage.entries[-1].get("resumed_by") if stage.entries else None,
        details=stage.details(),
    )


def make_names_launcher(folder: Path) -> tuple[Path | None, Sequence[str]]:
    """Return a hosts file, and a launcher for a daemon that resolves names with it alone.

    Return no file and an empty launcher where mounts are not allowed.
    """
    hosts, sources = folder / "hosts", folder / "nsswitch.conf"
    hosts.write_text("127.0.0.1 localhost\n")
    sources.write_text("hosts: files\n")
    launcher = ["unshare", "--map-root-user", "--mount", "sh", "-c", NAMES_SCRIPT, "sh", str(hosts), str(sources)]
    try:
        subprocess.run([*launcher, "true"], capture_output=True, check=True)
    except subprocess.CalledProcessError:
        return None, ()
    return hosts, launcher


def test_each_row_has_a_behaviour_and_each_behaviour_a_row_with_its_outcome() -> None:
    assert len({each.name for each in BEHAVIOURS}) == len(BEHAVIOURS)
    assert dict(ROWS) == {each.name: each.outcome for each in BEHAVIOURS}
    assert len(ROWS) == len(BEHAVIOURS)


@pytest.mark.parametrize("behaviour", [pytest.param(each, id=each.name) for each in BEHAVIOURS])
def test_a_behaviour_has_the_outcome_of_the_table(outcomes: Mapping[str, Outcome], behaviour: Behaviour) -> None:
    if behaviour.name not in outcomes:
        not_allowed("mount a hosts file")
    outcome = outcomes[behaviour.name]
    assert outcome.text == re.sub(r"continued by \w+", "continued", behaviour.outcome), outcome.details


@pytest.mark.parametrize(("name", "evidence"), EVIDENCE.items(), ids=EVIDENCE)
def test_the_history_names_the_evidence_of_a_continuation(
    outcomes: Mapping[str, Outcome], name: str, evidence: str
) -> None:
    outcome = outcomes[name]
    assert outcome.resumed_by == evidence, outcome.details
