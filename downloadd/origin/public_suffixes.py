"""Public suffixes (https://publicsuffix.org): domains below which hosts of different owners lie, such as `co.uk`."""

from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

_A_LABEL: Final = "xn--"


class PublicSuffixes:
    """The list of the package `publicsuffixlist`; a name that is not on it counts by its last label.

    It is read at the first use, which blocks for about 50 ms: only cookies for a domain need it, which few origins set.
    """

    @cached_property
    def _list(self) -> "PublicSuffixList":
        from publicsuffixlist import PublicSuffixList

        # The list in A-labels would take three times as long.
        return PublicSuffixList(accept_encoded_idn=False)

    def is_public(self, host: str) -> bool:
        """Return True if a host name, in the spelling of `parse_host`, is a public suffix."""
        labels = [_to_unicode(label) if label.startswith(_A_LABEL) else label for label in host.split(".")]
        return self._list.is_public(".".join(labels))


def _to_unicode(label: str) -> str:
    return label[len(_A_LABEL) :].encode("ascii").decode("punycode")
