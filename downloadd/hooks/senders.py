"""Table of the actions of hooks, with the component that takes each."""

from collections.abc import Mapping

from downloadd.config import HookAction
from downloadd.hooks.file_actions import FileActions
from downloadd.hooks.hooks import Sender
from downloadd.hooks.notification import Notifier
from downloadd.hooks.program import ProgramRunner
from downloadd.hooks.webhook import WebhookSender


def make_senders(webhooks: WebhookSender, programs: ProgramRunner, files: FileActions) -> Mapping[HookAction, Sender]:
    """Return the sender of each action."""
    return {
        HookAction.URL: webhooks.post,
        HookAction.COMMAND: programs.run,
        HookAction.EXTRACT: files.extract,
        HookAction.MOVE_TO: files.move,
        HookAction.NOTIFY: Notifier().send,
    }
