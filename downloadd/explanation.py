"""Explanation of a request before it is made: if it would be accepted, and what would decide about its download.

No origin is asked, and nothing is recorded.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from downloadd.clock import Clock
from downloadd.directory_settings import Quota
from downloadd.download import Download, PendingRule
from downloadd.download_request import DownloadRequest
from downloadd.download_rules import DownloadRules
from downloadd.errors import DownloadError
from downloadd.manager.limits import Limits
from downloadd.origin.settings import OriginSettings
from downloadd.policy.directories import DirectoryRules
from downloadd.policy.url import parse_url
from downloadd.rights import Action, Rights
from downloadd.transfer.pending_rules import apply_rule
from downloadd.users import User


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a request if the response of its origin meets the conditions of a rule."""

    rule: PendingRule
    download: Download
    quotas: Sequence[Quota]
    hooks: Sequence[str]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a request."""

    download: Download
    """The download as it would be recorded: `queued` or `paused`, or `failed` with the reason of the refusal."""
    rule: str | None = None
    """Name of the rule that applies, unless one of `alternatives` does; None if none does."""
    alternatives: Sequence[Alternative] = ()
    """Outcomes by rules that need the response of the origin; the first one whose conditions it meets decides."""
    proxy: str | None = None
    """Name of the proxy; "" for one of the environment, None for a direct connection."""
    has_credentials: bool = False
    """True if the configuration has request fields for the host."""
    slots: int
    """Downloads that run at once from the origin."""
    max_concurrent: int
    """Downloads that run at once."""
    quotas: Sequence[Quota] = ()
    """Quotas that the file would count in."""
    hooks: Sequence[str] = ()
    """Names of the hooks that would act once the download is completed."""


class ExplanationSources(msgspec.Struct, frozen=True, kw_only=True):
    """Functions that return what decides at the moment; a reload changes what they return."""

    preview: Callable[[DownloadRequest, str], Awaitable[Download]]
    """Returns the download that a request of a user would become."""
    rules: Callable[[], DownloadRules]
    origins: Callable[[], OriginSettings]
    limits: Callable[[], Limits]
    directories: Callable[[], DirectoryRules]
    hooks: Callable[[Download], Sequence[str]]
    """Returns the names of the hooks for a download once it is completed."""


class Explainer:
    """Explains requests of users."""

    def __init__(self, sources: ExplanationSources, *, rights: Rights, clock: Clock) -> None:
        self._sources = sources
        self._rights = rights
        self._clock = clock

    async def explain(self, user: User, request: DownloadRequest) -> Explanation:
        """Return what would become of a request.

        Raises:
            PermissionMissingError: the user may not start downloads, or not in the directory.
            DownloadForbiddenError: the daemon may not fetch.
        """
        self._rights.require(user, Action.START, directory=request.directory)
        sources = self._sources
        ruled = sources.rules().apply(request, user=user.id, now=self._clock.wall())
        for directory in ruled.directories:
            self._rights.require(user, Action.START, directory=directory)
        download = await sources.preview(ruled.request, user.id)
        limits = sources.limits()
        explanation = Explanation(
            download=download,
            rule=ruled.rule,
            slots=limits.slots_of(download.progress.origin) if download.progress.origin else limits.max_per_host,
            max_concurrent=limits.max_concurrent,
        )
        # Only a request that is refused for what it states has no origin.
        return self._with_origin(explanation) if download.progress.origin else explanation

    def _with_origin(self, explanation: Explanation) -> Explanation:
        download, sources = explanation.download, self._sources
        url, origins = parse_url(download.request.url), sources.origins()
        fields = download.request.fields
        try:
            proxy = origins.proxies.select_proxy(url, None if fields is None else fields.proxy)
        except DownloadError:
            proxy = None
        return msgspec.structs.replace(
            explanation,
            proxy=None if proxy is None else proxy.name,
            has_credentials=any(each.host == url.host for each in origins.credentials),
            quotas=self._quotas_of(download),
            hooks=sources.hooks(download),
            alternatives=[self._explain_alternative(rule, download) for rule in download.request.pending_rules],
        )

    def _explain_alternative(self, rule: PendingRule, download: Download) -> Alternative:
        changed = apply_rule(download, rule)
        return Alternative(
            rule=rule, download=changed, quotas=self._quotas_of(changed), hooks=self._sources.hooks(changed)
        )

    def _quotas_of(self, download: Download) -> Sequence[Quota]:
        quotas = self._sources.directories().quotas
        return [each for each in quotas if _is_in(download.request.directory, each.directory)]


def _is_in(directory: str, quota_directory: str) -> bool:
    return not quota_directory or directory == quota_directory or directory.startswith(f"{quota_directory}/")
