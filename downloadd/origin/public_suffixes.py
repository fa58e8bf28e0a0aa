"""Public suffixes (https://publicsuffix.org): domains below which hosts of different owners lie, such as `co.uk`."""

from typing import Final

from publicsuffixlist import PublicSuffixList

_A_LABEL: Final = "xn--"


class PublicSuffixes:
    """The list of the package `publicsuffixlist`; a name that is not on it counts by its last label."""

    def __init__(self) -> None:
        """Read the list. Blocks, for about 50 ms."""
        # The list in A-labels would take three times as long.
        self._list = PublicSuffixList(accept_encoded_idn=False)

    def is_public(self, host: str) -> bool:
        """Return True if a host name, in the spelling of `parse_host`, is a public suffix."""
        labels = [_to_unicode(label) if label.startswith(_A_LABEL) else label for label in host.split(".")]
        return self._list.is_public(".".join(labels))


def _to_unicode(label: str) -> str:
    return label[len(_A_LABEL) :].encode("ascii").decode("punycode")
