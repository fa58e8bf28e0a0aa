"""The sender against a receiver on a real socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from records.contract import NOW, ManualClock
from support.deliveries import make_delivery
from support.origin.tls import Authority
from support.ports import free_port
from support.tls_contexts import system_tls
from support.webhook_receiver import KEY, WebhookReceiver

from downloadd.config import HookConfig, decode_secret
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.signature import signed_fields
from downloadd.hooks.webhook import WebhookSender
from downloadd.policy.tls_contexts import HostTls, TlsContexts


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    async with WebhookSender(ManualClock(), system_tls) as opened:
        yield opened


def hook_to(url: str, timeout: float = 10) -> HookConfig:
    return HookConfig(name="chat", url=url, secret=KEY, timeout=timeout)


async def test_the_message_is_posted_with_a_signature_of_now(sender: WebhookSender) -> None:
    delivery = make_delivery()
    async with WebhookReceiver() as receiver:
        assert await sender.post(hook_to(receiver.url), delivery) == Delivered(answer="204")
    ((fields, body),) = receiver.received
    key = decode_secret(KEY)
    assert key is not None
    expected = signed_fields(key, event_id=delivery.event_id, timestamp=int(NOW), body=delivery.body)
    assert {name: fields[name.title()] if name.title() in fields else fields[name] for name in expected} == expected
    assert body == delivery.body
    assert fields["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [200, 201, 299])
async def test_every_2xx_status_is_a_delivery(sender: WebhookSender, status: int) -> None:
    async with WebhookReceiver(status) as receiver:
        assert await sender.post(hook_to(receiver.url), make_delivery()) == Delivered(answer=str(status))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, DeliveryFailed(reason="the answer was 302, and redirects are not followed")),
        (404, DeliveryFailed(reason="the answer was 404")),
        (410, DeliveryFailed(reason="the answer was 410", permanent=True)),
        (500, DeliveryFailed(reason="the answer was 500")),
    ],
)
async def test_every_other_status_is_a_failure(sender: WebhookSender, status: int, expected: DeliveryFailed) -> None:
    async with WebhookReceiver(status, headers={"Location": "/other"}) as receiver:
        assert await sender.post(hook_to(receiver.url), make_delivery()) == expected
    assert len(receiver.received) == 1


async def test_the_time_that_a_receiver_asks_to_wait_is_kept(sender: WebhookSender) -> None:
    async with WebhookReceiver(503, headers={"Retry-After": "120"}) as receiver:
        outcome = await sender.post(hook_to(receiver.url), make_delivery())
    assert outcome == DeliveryFailed(reason="the answer was 503", retry_after=120)


async def test_no_response_within_the_timeout_is_a_failure(sender: WebhookSender) -> None:
    async with WebhookReceiver(0) as receiver:
        outcome = await sender.post(hook_to(receiver.url, timeout=0.2), make_delivery())
    assert outcome == DeliveryFailed(reason="no answer within 0.2 s")


async def test_a_refused_connection_is_a_failure_without_the_url(sender: WebhookSender) -> None:
    url = f"http://127.0.0.1:{free_port()}/hook?token=s3cret"
    outcome = await sender.post(hook_to(url), make_delivery())
    assert isinstance(outcome, DeliveryFailed)
    assert outcome.reason.startswith("cannot connect: ")
    assert "s3cret" not in outcome.reason


async def test_a_receiver_is_verified_by_the_authorities_of_its_host_as_they_are_now(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    contexts, host_tls = system_tls(), HostTls(ca_file=str(tmp_path / "ca.pem"))
    async with (
        WebhookReceiver(tls=authority.server_context()) as receiver,
        WebhookSender(ManualClock(), lambda: contexts) as sender,
    ):
        hook = hook_to(receiver.url)
        outcome = await sender.post(hook, make_delivery())
        assert isinstance(outcome, DeliveryFailed)
        assert outcome.reason.startswith("cannot connect: the certificate is not trusted (")
        contexts = TlsContexts("", {"other.example": host_tls})
        assert isinstance(await sender.post(hook, make_delivery()), DeliveryFailed)
        contexts = TlsContexts("", {"127.0.0.1": host_tls})
        assert await sender.post(hook, make_delivery()) == Delivered(answer="204")
