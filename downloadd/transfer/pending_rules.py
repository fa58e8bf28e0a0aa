"""Decision on the rules whose conditions concern the response of the origin.

It is made once, at the first usable response, and recorded. Pure: no I/O and no clock.
"""

from collections.abc import Iterable

from msgspec import UNSET
from msgspec.structs import replace

from downloadd.attempt_options import NO_OPTIONS
from downloadd.download import Download, PendingRule
from downloadd.media_types import is_stated_type, parse_media_type


def select_rule(rules: Iterable[PendingRule], *, content_type: str | None, size: int | None) -> PendingRule | None:
    """Return the first rule whose conditions a response meets; `size` is None if the origin does not state it."""
    received = parse_media_type(content_type)
    return next((rule for rule in rules if _is_met(rule, received, size)), None)


def decide_rules(download: Download, *, content_type: str | None, size: int | None) -> Download:
    """Return the download as the first rule that a response meets makes it, without pending rules.

    It must not have a part file yet, or the rules must have been decided before.
    """
    rule = select_rule(download.request.pending_rules, content_type=content_type, size=size)
    decided = download if rule is None else apply_rule(download, rule)
    return decided.with_request(pending_rules=())


def apply_rule(download: Download, rule: PendingRule) -> Download:
    """Return the download with the values of a rule."""
    request = download.request
    changes = {name: getattr(rule, name) for name in ("directory", "conflict", "skip_same", "segments")}
    request = replace(request, **{name: value for name, value in changes.items() if value is not UNSET})
    if rule.max_retries is not UNSET:
        options = replace(request.attempt_options or NO_OPTIONS, max_retries=rule.max_retries)
        request = replace(request, attempt_options=None if options == NO_OPTIONS else options)
    control = download.control
    # A user who moved it in the waiting list has given it the priority of its place.
    if rule.priority is not UNSET and control.place is None:
        control = replace(control, priority=rule.priority)
    if rule.speed_limit is not UNSET:
        control = replace(control, speed_limit=rule.speed_limit)
    return replace(download, request=request, control=control)


def _is_met(rule: PendingRule, received: str, size: int | None) -> bool:
    if rule.types and not any(is_stated_type(received, wanted) for wanted in rule.types):
        return False
    if not rule.min_size and not rule.max_size:
        return True
    return size is not None and rule.min_size <= size and (not rule.max_size or size <= rule.max_size)
