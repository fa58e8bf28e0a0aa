"""Monitoring of a real daemon: metrics and log state what happened; docs, dashboard and alerts match the metrics."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.daemon_process import TOKEN, USER, DaemonProcess, make_config
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.ports import free_port
from support.waiting import wait_until
from support.webhook_receiver import KEY, WebhookReceiver, filter_events, webhook_table

from downloadd.config import HookConfig, decode_secret
from downloadd.hooks.program import environment_variables
from downloadd.hooks.rules import Message

pytestmark = pytest.mark.system

PROJECT: Final = Path(__file__).parents[1]
MONITORING: Final = (PROJECT / "docs/how-to/monitoring.md").read_text(encoding="utf-8")
HOOKS: Final = (PROJECT / "docs/how-to/hooks.md").read_text(encoding="utf-8")
ALERTS: Final = PROJECT / "docs/how-to/alerts.yml"
DASHBOARD: Final = json.loads((PROJECT / "docs/how-to/grafana-dashboard.json").read_text(encoding="utf-8"))

QUOTA: Final = '\n[[directories]]\npath = "d"\nquota = "1 MiB"\n'


class Scrape:
    """Exposition, read as a scraper reads it."""

    def __init__(self, text: str, families: Iterable[Metric]) -> None:
        self.text = text
        self.families = {family.name: family for family in families}
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples.get((f"downloadd_{name}", frozenset(labels.items())))

    def all(self, name: str, label: str) -> dict[str, float]:
        """Return the values of a family that are not 0, by one of its labels."""
        return {
            dict(labels)[label]: value
            for (sample, labels), value in self.samples.items()
            if sample == f"downloadd_{name}" and value
        }

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


async def scrape(daemon: DaemonProcess, accept: str = "text/plain") -> Scrape:
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/metrics", headers={"Accept": accept}) as response:
        assert response.status == 200
        assert response.content_type == ("text/plain" if accept == "text/plain" else "application/openmetrics-text")
        text = await response.text()
    parse = text_string_to_metric_families if accept == "text/plain" else openmetrics.text_string_to_metric_families
    return Scrape(text, parse(text))


@asynccontextmanager
async def busy_daemon(folder: Path) -> AsyncIterator[DaemonProcess]:
    """Run a daemon with 11 requests: 6 downloads completed, 2 failed, 1 cancelled, 1 running, and 1 refused request."""
    async with Origin() as origin, WebhookReceiver() as receiver:
        user = make_config(max_retries=1, max_per_host=4) + "max_concurrent = 8\n"
        config = user + QUOTA + webhook_table(receiver, events=["completed"])
        async with DaemonProcess(folder, config=config) as daemon:
            origin.script("/whole", ScriptedResponse(size=1000))
            origin.script("/cut", ScriptedResponse(size=1000, cut_after=0))
            origin.script("/stalls", ScriptedResponse(size=1000, etag='"v"', stall_after=100))
            for number in range(6):
                await daemon.fetch("d" if number else "elsewhere", origin.url("/whole"))
            await daemon.fetch("d", origin.url("/missing"))
            await daemon.fetch("d", origin.url("/cut"))
            running = [(await daemon.start_download("d", origin.url("/stalls")))["download_id"] for _ in range(2)]
            for id in running:
                await wait_until(lambda id=id: daemon.has_received(id, 100))
            await daemon.control(running.pop(), "cancel")
            assert (await daemon.fetch("d", "nonsense"))[0] == 400
            await wait_until(lambda: len(receiver.received) == 6)
            yield daemon


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    assert found is not None, "install Debian's prometheus, which has promtool"
    return found


def check(command: list[str], text: str = "", cwd: Path | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


# -- the metrics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_each_metric_has_the_value_of_what_happened(tmp_path: Path, promtool: str, accept: str) -> None:
    async with busy_daemon(tmp_path) as daemon:

        async def has_settled() -> Scrape | None:
            seen = await scrape(daemon, accept)
            told = seen.value("hook_attempts_total", hook="chat", outcome="delivered") == 6
            return seen if told and seen.value("received_bytes_total") == 6200 else None

        assert daemon.client is not None
        wrong = {"Authorization": "Bearer wrong"}
        async with daemon.client.get(f"{daemon.url}/api/v1/downloads", headers=wrong) as refused:
            assert refused.status == 401
        async with daemon.client.get(f"{daemon.url}/api/v1/events") as stream:
            assert stream.status == 200
            seen = await wait_until(has_settled)
        assert seen.value("event_subscribers") == 1
        assert seen.value("downloads_accepted_total") == 10
        ended = {
            (dict(labels)["outcome"], dict(labels)["error"]): value
            for (name, labels), value in seen.samples.items()
            if name == "downloadd_downloads_ended_total" and value
        }
        assert ended == {
            ("completed", ""): 6,
            ("failed", "REMOTE_FILE_NOT_FOUND"): 1,
            ("failed", "NETWORK_ERROR"): 1,
            ("failed", "INVALID_URL"): 1,
            ("cancelled", "CANCELLED"): 1,
        }
        assert seen.value("attempts_started_total") == 11
        assert seen.all("attempts_failed_total", "error") == {"NETWORK_ERROR": 1}
        assert seen.value("download_duration_seconds_count") == 10
        assert seen.value("queue_wait_seconds_count") == 10
        assert seen.all("downloads_active", "state") == {"downloading": 1}
        assert seen.all("downloads_waiting", "reason") == {}
        assert seen.value("origin_connections") == 1
        assert seen.value("origin_connections_busiest_host") == 1
        assert [seen.value(f"origin_hosts_{what}") for what in ("connected", "waiting", "blocked")] == [1, 0, 0]
        assert seen.value("failed_logins_total") == 1
        assert seen.value("http_requests_total", method="GET", status="401") == 1
        assert seen.value("http_requests_total", method="DELETE", status="200") == 1
        assert (seen.value("store_commit_rows_sum") or 0) > 10
        assert seen.value("store_commit_rows_count") == seen.value("store_commit_duration_seconds_count")
        assert (seen.value("event_loop_lag_seconds_count") or 0) > 0
        assert seen.value("hook_messages_waiting", hook="chat") == 0
        disk = shutil.disk_usage(daemon.root)
        assert seen.value("storage_size_bytes") == disk.total
        assert abs((seen.value("storage_free_bytes") or 0) - disk.free) < 1 << 30
        assert seen.value("storage_reserved_bytes") == 0
        # Five files, and what is promised to the one that runs.
        assert seen.value("quota_used_bytes", directory="d") == 6000
        assert seen.value("quota_limit_bytes", directory="d") == 1 << 20
        assert seen.value("user_quota_used", user=USER, quota="max_concurrent") == 1
        assert seen.value("user_quota_limit", user=USER, quota="max_concurrent") == 8
        assert ("process_resident_memory_bytes", frozenset()) in seen.samples
        if accept == "text/plain":
            check([promtool, "check", "metrics"], seen.text)
            assert "_created" not in seen.text


async def test_a_long_queue_is_counted_by_reason_and_scraped_quickly(tmp_path: Path) -> None:
    async with (
        Origin() as origin,
        Origin(host="127.0.0.2") as other,
        DaemonProcess(tmp_path, config=make_config(max_per_host=2, max_concurrent=3)) as daemon,
    ):
        for one in (origin, other):
            one.script("/f", ScriptedResponse(size=10, stall_after=0))
        body = {"downloads": [{"url": origin.url("/f"), "directory": "d"} for _ in range(9_997)]}
        await daemon.request("POST", "/api/v1/downloads", json=body)
        await origin.wait_requested("/f", times=2)
        body["downloads"] = [{"url": other.url("/f"), "directory": "d"} for _ in range(6)]
        await daemon.request("POST", "/api/v1/downloads", json=body)
        await other.wait_requested("/f")
        seen = await scrape(daemon)
        assert seen.all("downloads_waiting", "reason") == {"max_per_host": 9_995, "max_concurrent": 5}
        assert seen.all("downloads_active", "state").pop("queued") == 10_000
        assert seen.value("origin_connections") == 3
        assert seen.value("origin_connections_busiest_host") == 2
        assert [seen.value(f"origin_hosts_{what}") for what in ("connected", "waiting", "blocked")] == [2, 2, 0]
        assert daemon.client is not None
        took = []
        for _ in range(15):
            watch = daemon.stopwatch()
            async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
                await response.read()
            took.append(watch.seconds)
        # The quickest of several: others use the machine too.
        assert min(took) < 0.05


# -- the documentation -------------------------------------------------------------------------------------------------


def rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table that has this head."""
    table = text.partition(f"{head}\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]


async def test_the_table_of_metrics_is_that_of_a_live_scrape(tmp_path: Path) -> None:
    said = {row[0].strip("`"): row[1:] for row in rows(MONITORING, "| metric | type | labels | meaning |")}
    async with busy_daemon(tmp_path) as daemon:
        seen = await scrape(daemon)
    real = {}
    for family in seen.families.values():
        if family.name.startswith("process_"):
            names = {sample.name for sample in family.samples}
            assert all(f"`{name}`" in MONITORING for name in names), names
            continue
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        real[name] = [family.type, ", ".join(f"`{label}`" for label in labels), family.documentation]
    assert said == real


def test_the_scrape_configuration_of_the_docs_is_valid(tmp_path: Path, promtool: str) -> None:
    (snippet,) = re.findall(r"^```yaml\n(.*?)^```$", MONITORING, re.MULTILINE | re.DOTALL)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text(encoding="utf-8"))
    (tmp_path / "prometheus.yml").write_text(snippet.replace("/etc/prometheus/downloadd.token", str(token)))
    check([promtool, "check", "config", "prometheus.yml"], cwd=tmp_path)


async def test_alerts_and_dashboard_use_metrics_that_exist(tmp_path: Path) -> None:
    async with busy_daemon(tmp_path) as daemon:
        names = (await scrape(daemon)).names
    spoken = {
        name
        for text in (ALERTS.read_text(encoding="utf-8"), json.dumps(DASHBOARD), MONITORING)
        for name in re.findall(r"\b(?:downloadd|process)_\w+", text)
    }
    families = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in names}
    # `downloadd_build_info` and its like stand in the docs by the name of their family.
    assert {name for name in spoken if name not in names | families} == set()
    # All that there is to see is on the dashboard.
    shown = json.dumps(DASHBOARD)
    assert {family for family in families if family.startswith("downloadd_") and family not in shown} == set()


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def test_every_expression_of_the_dashboard_is_valid(tmp_path: Path, promtool: str) -> None:
    rules = []
    for number, (_, expression) in enumerate(expressions()):
        plain = expression.replace("$__rate_interval", "5m").replace("$job", "downloadd").replace("$instance", ".*")
        assert "$" not in plain
        rules.append({"record": f"dashboard:{number}", "expr": plain})
    # JSON is YAML too.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    check([promtool, "check", "rules", str(tmp_path / "rules.yml")])


def test_the_dashboard_has_every_row_and_no_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert titles == [
        "Throughput",
        "Outcomes",
        "Queue",
        "Latency",
        "Resources",
        "Hooks, events and imports",
        "RPC of aria2",
    ]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_the_alerts_are_valid_and_fire_in_their_cases(promtool: str) -> None:
    check([promtool, "check", "rules", str(ALERTS)])
    check([promtool, "test", "rules", str(PROJECT / "tests/alerts_test.yml")])
    tried = (PROJECT / "tests/alerts_test.yml").read_text(encoding="utf-8")
    rules = re.split(r"^ +- alert: ", ALERTS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    for rule in rules:
        name = rule.split()[0]
        assert f'alertname="{name}"' in tried, name
        assert re.search(r"severity: (critical|warning)", rule), name
        assert {"summary:", "description:"} <= set(rule.split()), name


# -- the log -----------------------------------------------------------------------------------------------------------


async def test_the_log_has_every_event_of_a_download_through_a_retry_and_a_kill(tmp_path: Path) -> None:
    """One request, an attempt that breaks, one that is killed with the daemon, and one that ends it."""
    async with Origin() as origin, DaemonProcess(tmp_path) as daemon:
        origin.script(
            "/f",
            [
                ScriptedResponse(size=1000, etag='"v"', cut_after=100),
                ScriptedResponse(size=1000, etag='"v"', stall_after=100),
                ScriptedResponse(size=1000, etag='"v"'),
            ],
        )
        url = origin.url("/f").replace("http://", "http://ann:s3cret-password@") + "?token=s3cret-value"
        assert daemon.client is not None
        async with daemon.client.get(f"{daemon.url}/d", params={"download": url}) as response:
            request_id, id = response.headers["X-Request-Id"], (await response.json())["download_id"]
        await origin.wait_requested("/f", times=2)
        await wait_until(lambda: len(filter_events(daemon.log_lines(), "attempt_started")) == 2)
        await daemon.kill()
        await daemon.start()
        await daemon.wait_until_finished(id)
        story = await wait_until(lambda: complete_log_of(daemon, id))
        assert [line["event"] for line in story if line["event"] != "request"] == [
            "attempt_started",
            "attempt_failed",
            "attempt_started",
            "download_recovered",
            "attempt_started",
            "download_ended",
        ]
        by_itself = [line for line in story if line["event"] != "request"]
        assert {line["request_id"] for line in by_itself} == {request_id}
        (accepted,) = [line for line in story if line["event"] == "request" and line["request_id"] == request_id]
        assert accepted["status"] == 201
        assert [line.get("attempt") for line in by_itself] == [1, 1, 2, None, 3, None]
        assert by_itself[1]["error"] == "NETWORK_ERROR"
        assert by_itself[1]["retry_in"] > 0
        assert by_itself[5]["outcome"] == "completed"
        log = daemon.log.read_text()
        assert "s3cret" not in log
        assert TOKEN not in log
        assert {f"`{line['event']}`" for line in story} <= set(re.findall(r"`\w+`", MONITORING))


def complete_log_of(daemon: DaemonProcess, id: str) -> list[dict[str, Any]] | None:
    story = [line for line in daemon.log_lines() if line.get("download_id") == id]
    return story if filter_events(story, "download_ended") else None


async def test_downloads_of_a_batch_have_the_request_id_of_the_batch(tmp_path: Path) -> None:
    async with Origin() as origin, DaemonProcess(tmp_path) as daemon:
        origin.script("/f", ScriptedResponse(size=10))
        assert daemon.client is not None
        body = {"downloads": [{"url": origin.url("/f"), "directory": "d"}, {"url": "nonsense"}]}
        async with daemon.client.post(f"{daemon.url}/api/v1/downloads", json=body) as response:
            request_id = response.headers["X-Request-Id"]
        ended = await wait_until(lambda: pair(filter_events(daemon.log_lines(), "download_ended")))
        assert {line["request_id"] for line in ended} == {request_id}
        assert {line["outcome"] for line in ended} == {"completed", "failed"}


def pair(lines: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    return lines if len(lines) == 2 else None


# -- the page about hooks ----------------------------------------------------------------------------------------------


async def test_the_receiver_of_the_docs_accepts_only_signed_messages(tmp_path: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", HOOKS, re.MULTILINE | re.DOTALL)
    (tmp_path / "receiver.py").write_text(code)
    said = tmp_path / "said"
    port = free_port()
    with said.open("wb") as output:
        receiver = subprocess.Popen(
            [sys.executable, "-I", str(tmp_path / "receiver.py")],
            stdout=output,
            stderr=subprocess.DEVNULL,
            env={"SECRET": KEY, "PORT": str(port)},
        )
    try:
        await wait_until(lambda: listens(port))
        posted = webhook_table(WebhookReceiver(port=port))
        wrong = webhook_table(WebhookReceiver(port=port), "wrong").replace(KEY, KEY.replace("MDEy", "MDEz"))
        async with DaemonProcess(tmp_path, config=make_config() + posted + wrong) as daemon:
            _, entry = await daemon.fetch("d", "nonsense")
            await wait_until(lambda: filter_events(daemon.log_lines(), "hook_delivered"))
            (line,) = await wait_until(lambda: filter_events(daemon.log_lines(), "hook_failed"))
            assert (line["hook"], line["reason"]) == ("wrong", "the answer was 401")
        lines = said.read_text().splitlines()
        assert sorted(line.split()[0] for line in lines) == ["accepted", "refused"]
        message = json.loads(lines[0].partition(" ")[2])
        assert message["data"]["id"] == entry["download_id"]
        # The message that the docs show has the fields of a real one.
        (shown,) = re.findall(r"^```json\n(.*?)^```$", HOOKS, re.MULTILINE | re.DOTALL)
        assert list(json.loads(shown)) == list(message)
        assert list(json.loads(shown)["data"]) == list(message["data"])
    finally:
        receiver.kill()
        receiver.wait()


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def test_the_page_about_hooks_names_every_key_and_every_variable() -> None:
    keys = {key for row in rows(HOOKS, "| key | meaning |") for key in re.findall(r"`(\w+)`", row[0])}
    assert keys == set(HookConfig.__struct_fields__)
    (shown,) = re.findall(r"^```json\n(.*?)^```$", HOOKS, re.MULTILINE | re.DOTALL)
    variables = environment_variables(msgspec.json.decode(shown, type=Message), "/srv", 1)
    assert [row[0].strip("`") for row in rows(HOOKS, "| variable | holds |")] == list(variables)
    assert variables["HOOK_FILE"] == "/srv/team/a/report.pdf"


def test_the_command_for_a_secret_prints_a_valid_one() -> None:
    (command,) = re.findall(r"^```sh\n(printf.*?)^```$", HOOKS, re.MULTILINE | re.DOTALL)
    made = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.strip()
    assert decode_secret(made)
