"""Rules for new downloads: the first one whose conditions are met gives what a request leaves out.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from downloadd.config import RuleConfig
from downloadd.download_request import ConditionalRequest, DownloadRequest
from downloadd.errors import DownloadError
from downloadd.policy.directories import is_below
from downloadd.policy.domains import DomainRules
from downloadd.policy.redaction import filename_from_url
from downloadd.policy.url import ParsedUrl, parse_url
from downloadd.storage.names import avoid_reserved, parse_directory
from downloadd.storage.path_template import fill_path_template, template_values


class RuledRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request with what a rule gives, and the alternatives by rules that need the response of the origin."""

    request: DownloadRequest
    rule: str | None = None
    """Name of the rule that applies unless an alternative does; None if no rule applies then."""

    @property
    def directories(self) -> Sequence[str]:
        """Directories that the file may be saved to."""
        return [self.request.directory, *(each.request.directory for each in self.request.alternatives)]


class DownloadRules:
    """The configured rules, in their order."""

    __slots__ = ("_rules",)

    def __init__(self, rules: Iterable[RuleConfig] = ()) -> None:
        self._rules = tuple(_Rule(rule) for rule in rules)

    def apply(self, request: DownloadRequest, *, user: str, now: float) -> RuledRequest:
        """Return the request as the first rule that is for it completes it; `now` is Unix time.

        A request whose URL or directory cannot be used is returned as it is: it will be refused.
        """
        if not self._rules:
            return RuledRequest(request=request)
        try:
            url = parse_url(request.url)
            parse_directory(request.directory)
        except DownloadError:
            return RuledRequest(request=request)
        matching = (rule for rule in self._rules if rule.is_for(request, url, user))
        alternatives: list[ConditionalRequest] = []
        for rule in matching:
            completed = rule.complete(request, user=user, now=now)
            if not rule.config.needs_response:
                return RuledRequest(request=_with_alternatives(completed, alternatives), rule=rule.config.name)
            alternatives.append(rule.when(completed))
        return RuledRequest(request=_with_alternatives(request, alternatives))


def _with_alternatives(request: DownloadRequest, alternatives: Sequence[ConditionalRequest]) -> DownloadRequest:
    return replace(request, alternatives=tuple(alternatives)) if alternatives else request


class _Rule:
    """One rule, with its conditions parsed."""

    __slots__ = ("_extensions", "_hosts", "config")

    def __init__(self, config: RuleConfig) -> None:
        self.config = config
        self._hosts = DomainRules(config.hosts)
        self._extensions = frozenset(each.lower().removeprefix(".") for each in config.extensions)

    def is_for(self, request: DownloadRequest, url: ParsedUrl, user: str) -> bool:
        """Return True if a request meets all conditions but those on the response."""
        config = self.config
        return (
            self._hosts.allows_host(url.host)
            and (not config.users or user in config.users)
            and is_below(parse_directory(request.directory), config.directory)
            and (not self._extensions or self._has_extension(request.filename or filename_from_url(url)))
        )

    def _has_extension(self, name: str) -> bool:
        """Return True if the name ends with one of the extensions, which may have dots in it (`tar.gz`)."""
        lower = name.lower()
        return any(lower.endswith(f".{extension}") for extension in self._extensions)

    def when(self, completed: DownloadRequest) -> ConditionalRequest:
        """Return a request that the rule has completed, with the conditions on the response."""
        config = self.config
        return ConditionalRequest(
            rule=config.name, types=config.types, min_size=config.min_size, max_size=config.max_size, request=completed
        )

    def complete(self, request: DownloadRequest, *, user: str, now: float) -> DownloadRequest:
        """Return the request with the values of the rule where it has none."""
        config = self.config
        given: dict[str, Any] = {
            "segments": config.segments,
            "timeout": config.timeout,
            "max_retries": config.max_retries,
            "conflict": config.conflict,
            "skip_same": config.skip_same,
            "proxy": config.proxy or UNSET,
        }
        changes = {
            name: value for name, value in given.items() if value is not UNSET and getattr(request, name) is None
        }
        # 0 is the default of both, and cannot be told from a 0 that was requested.
        if config.priority is not UNSET and not request.priority:
            changes["priority"] = config.priority
        if config.speed_limit is not UNSET and not request.speed_limit:
            changes["speed_limit"] = config.speed_limit
        if config.save_to:
            changes["directory"] = self._fill(request, user=user, now=now)
        return replace(request, **changes)

    def _fill(self, request: DownloadRequest, *, user: str, now: float) -> str:
        values = template_values(
            directory=parse_directory(request.directory),
            user=user,
            url=request.url,
            time=datetime.fromtimestamp(now, UTC),
        )
        # An empty directory of a request leaves no empty segment.
        return avoid_reserved("/".join(filter(None, fill_path_template(self.config.save_to, values).split("/"))))
