"""Constructs the hooks from the configuration."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from downloadd.clock import Clock
from downloadd.config import Config
from downloadd.hooks.file_actions import FileActions
from downloadd.hooks.hooks import Hooks
from downloadd.hooks.program import ProgramRunner
from downloadd.hooks.senders import make_senders
from downloadd.hooks.webhook import WebhookSender
from downloadd.metrics import HookMetrics
from downloadd.records.store import Store


def assemble_hooks(
    config: Config,
    *,
    store: Store,
    sender: WebhookSender,
    file_actions: FileActions,
    environment: Mapping[str, str],
    find_others: Callable[[], Awaitable[Collection[str]]],
    metrics: HookMetrics,
    clock: Clock,
) -> Hooks:
    """Construct the hooks over an open store.

    Programs inherit `environment`; `find_others` returns the names of the hooks of all living nodes.
    """
    return Hooks(
        config.hooks,
        records=store.deliveries,
        senders=make_senders(sender, ProgramRunner(environment, config.storage.root), file_actions),
        metrics=metrics,
        clock=clock,
        find_others=find_others if store.is_shared else None,
    )
