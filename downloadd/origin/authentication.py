"""Authentication at an origin: Basic (RFC 7617) before any challenge, Digest (RFC 7616) once an origin asks for it.

A nonce is used for later requests too, so that each range of a file does not cost a refusal. Pure: no I/O and no clock;
the random texts come from the caller.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from downloadd.origin.challenges import Challenge, parse_parameters
from downloadd.origin.request_headers import encode_basic
from downloadd.request_fields import INVALID_IN_VALUE, Credentials

MAX_ANSWERS: Final = 10
"""Challenges that one request answers: that of the origin, and those for nonces that have expired meanwhile.

Parallel requests replace the nonces of each other at an origin that accepts each nonce for one request.
"""

MAX_SPACES: Final = 1_000
"""Protection spaces that are remembered."""

_SESSION_SUFFIX: Final = "-sess"
_HASHES: Final = {"sha-512-256": "sha512_256", "sha-256": "sha256", "md5": "md5"}
"""Names in hashlib of the algorithms, the strongest first."""
_NEEDS_EXTENSION: Final = re.compile(r"[^\x20-\x7e]")


class DigestChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge for Digest that can be answered."""

    realm: str
    nonce: str
    algorithm: str | None = None
    """As the origin states it; None stands for MD5."""
    opaque: str | None = None
    has_qop: bool = True
    """False for an origin that knows RFC 2069 only."""
    is_stale: bool = False
    """The user and password were right, and the nonce has expired."""
    hashes_user: bool = False
    is_utf8: bool = False

    @property
    def is_session(self) -> bool:
        """True if the key is derived from the first nonces too."""
        return (self.algorithm or "").lower().endswith(_SESSION_SUFFIX)

    def digest(self, text: str) -> str:
        """Return the hash of a text in hexadecimal digits."""
        name = (self.algorithm or "md5").lower().removesuffix(_SESSION_SUFFIX)
        return hashlib.new(_HASHES[name], text.encode(), usedforsecurity=False).hexdigest()


class ProtectionSpace:
    """The Digest state of one user at one origin, which all requests there share.

    Attributes:
        challenge: the last challenge; None before the first one.
    """

    def __init__(self, user: Credentials, *, make_nonce: Callable[[], str]) -> None:
        """Take user and password, and a function that returns a new random text for `cnonce`."""
        self.user = user
        self.challenge: DigestChallenge | None = None
        self._make_nonce = make_nonce
        self._client_nonce = ""
        self._count = 0

    def accept(self, challenge: DigestChallenge) -> None:
        """Use a challenge for the next requests."""
        if self.challenge is None or challenge.nonce != self.challenge.nonce:
            self._count = 0
            self._client_nonce = self._make_nonce()
        self.challenge = challenge

    def note_info(self, text: str) -> None:
        """Use the `nextnonce` of the field Authentication-Info (RFC 7616, section 3.5)."""
        nonce = parse_parameters(text).get("nextnonce", "")
        if self.challenge is not None and nonce and not INVALID_IN_VALUE.search(nonce):
            self.accept(replace(self.challenge, nonce=nonce, is_stale=False))

    def authorize(self, method: str, target: str) -> str:
        """Return the value of Authorization for one request; `target` is its request target."""
        if self.challenge is None:
            return encode_basic(self.user)
        self._count += 1
        return _format_digest(self.challenge, self.user, method, target, self._client_nonce, self._count)


class ProtectionSpaces:
    """The protection spaces in use, by origin and user; the one that was not used for longest is forgotten first."""

    def __init__(self, *, make_nonce: Callable[[], str]) -> None:
        """Take a function that returns a new random text."""
        self._make_nonce = make_nonce
        self._spaces: dict[tuple[str, Credentials], ProtectionSpace] = {}

    def get(self, origin: str, user: Credentials) -> ProtectionSpace:
        """Return the space of a user at an origin."""
        key = (origin, user)
        space = self._spaces.pop(key, None) or ProtectionSpace(user, make_nonce=self._make_nonce)
        self._spaces[key] = space
        if len(self._spaces) > MAX_SPACES:
            del self._spaces[next(iter(self._spaces))]
        return space


class Authenticator:
    """Authorization of one request, which is repeated when the origin challenges it."""

    def __init__(self, space: ProtectionSpace) -> None:
        self._space = space
        self._answers = 0
        self._was_known = space.challenge is not None

    def authorize(self, method: str, target: str) -> str:
        """Return the value of Authorization before any challenge of this request."""
        return self._space.authorize(method, target)

    def note_info(self, lines: Iterable[str]) -> None:
        """Use what a response states in Authentication-Info."""
        self._space.note_info(", ".join(lines))

    def answer(self, challenge: DigestChallenge, method: str, target: str) -> str | None:
        """Return the value of Authorization to repeat a request with that was answered 401; None if that is final.

        Args:
            challenge: challenge of the response that is answered.
            method: method of the request.
            target: request target of the request.
        """
        if self._answers == MAX_ANSWERS:
            return None
        # The origin has refused an answer to a nonce that it had just sent: user or password is wrong.
        if self._answers and not challenge.is_stale:
            return None
        is_repeated = self._space.challenge is not None and challenge.nonce == self._space.challenge.nonce
        if self._was_known and is_repeated and not challenge.is_stale:
            return None
        self._answers += 1
        self._space.accept(challenge)
        return self._space.authorize(method, target)


def select_digest(challenges: Iterable[Challenge]) -> DigestChallenge | None:
    """Return the strongest challenge for Digest that can be answered; None if there is none.

    Without one, Basic was sent already, and other schemes are not supported.
    """
    supported = [digest for each in challenges if (digest := _parse_digest(each)) is not None]
    strength = list(_HASHES)
    return min(
        supported,
        key=lambda each: strength.index((each.algorithm or "md5").lower().removesuffix(_SESSION_SUFFIX)),
        default=None,
    )


def describe_refusal(challenges: Iterable[Challenge], *, is_authorized: bool) -> str:
    """Return what to do about a final 401, without anything that the origin has sent but known names of schemes."""
    if is_authorized:
        return "it refused user and password, or what the header field Authorization states"
    schemes = {each.scheme for each in challenges}
    if not schemes or schemes & {"basic", "digest"}:
        return "it needs a user and password: state auth with the download, or [[credentials]] in the configuration"
    if "bearer" in schemes:
        return "it needs a token: state headers with the download, or [[credentials]] in the configuration"
    return "it asks for an authentication that is not supported; Basic, Digest and tokens are"


def _parse_digest(challenge: Challenge) -> DigestChallenge | None:
    parameters = challenge.parameters
    algorithm = parameters.get("algorithm")
    name = (algorithm or "md5").lower().removesuffix(_SESSION_SUFFIX)
    if challenge.scheme != "digest" or "nonce" not in parameters or "realm" not in parameters:
        return None
    if _HASHES.get(name) not in hashlib.algorithms_available:
        return None
    qop = [each.strip().lower() for each in parameters.get("qop", "").split(",") if each.strip()]
    if (qop and "auth" not in qop) or any(INVALID_IN_VALUE.search(value) for value in parameters.values()):
        return None
    return DigestChallenge(
        realm=parameters["realm"],
        nonce=parameters["nonce"],
        algorithm=algorithm,
        opaque=parameters.get("opaque"),
        has_qop=bool(qop),
        is_stale=parameters.get("stale", "").lower() == "true",
        hashes_user=parameters.get("userhash", "").lower() == "true",
        is_utf8=parameters.get("charset", "").lower() == "utf-8",
    )


def _format_digest(
    challenge: DigestChallenge, user: Credentials, method: str, target: str, client_nonce: str, count: int
) -> str:
    name, password = user.user, user.password
    if challenge.is_utf8:
        # RFC 7616, section 4.
        name, password = (unicodedata.normalize("NFC", text) for text in (name, password))
    digest, nonce = challenge.digest, challenge.nonce
    key = digest(f"{name}:{challenge.realm}:{password}")
    if challenge.is_session:
        key = digest(f"{key}:{nonce}:{client_nonce}")
    request = digest(f"{method}:{target}")
    uses = f"{count:08x}"
    middle = f"{uses}:{client_nonce}:auth:" if challenge.has_qop else ""
    parts = [
        _format_user(challenge, name),
        f"realm={_quote(challenge.realm)}",
        f"nonce={_quote(nonce)}",
        f"uri={_quote(target)}",
        f'response="{digest(f"{key}:{nonce}:{middle}{request}")}"',
    ]
    if challenge.algorithm is not None:
        parts.append(f"algorithm={challenge.algorithm}")
    if challenge.has_qop or challenge.is_session:
        parts.append(f"cnonce={_quote(client_nonce)}")
    if challenge.has_qop:
        # Without quotes: RFC 7616, section 3.4.
        parts += [f"nc={uses}", "qop=auth"]
    if challenge.opaque is not None:
        parts.append(f"opaque={_quote(challenge.opaque)}")
    if challenge.hashes_user:
        parts.append("userhash=true")
    return f"Digest {', '.join(parts)}"


def _format_user(challenge: DigestChallenge, name: str) -> str:
    if challenge.hashes_user:
        return f'username="{challenge.digest(f"{name}:{challenge.realm}")}"'
    if challenge.is_utf8 and _NEEDS_EXTENSION.search(name):
        return f"username*=UTF-8''{quote(name, safe='')}"
    return f"username={_quote(name)}"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
