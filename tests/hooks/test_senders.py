from support.clocks import ManualClock
from support.tls_contexts import system_tls

from downloadd.config import HookAction
from downloadd.hooks.file_actions import FileActions
from downloadd.hooks.program import ProgramRunner
from downloadd.hooks.senders import make_senders
from downloadd.hooks.webhook import WebhookSender


async def test_each_action_of_a_hook_has_a_sender() -> None:
    webhooks = WebhookSender(ManualClock(), system_tls)
    assert set(make_senders(webhooks, ProgramRunner({}, "/srv"), FileActions())) == set(HookAction)
