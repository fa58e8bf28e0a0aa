"""`GET /api/v1/directories`: which directories there are, for those who complete what somebody types."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from downloadd.api.answers import answer
from downloadd.api.bodies import Directories, DirectoriesQuery, QueryForm
from downloadd.api.call import Call

FORM: Final = QueryForm(DirectoriesQuery)


class DirectoriesEndpoint:
    """What can be asked of the tree.

    `find` gives up to so many directories that begin with a prefix; `may_use` says whether the user of an id may start
    downloads in one: others are not told.
    """

    def __init__(
        self, *, find: Callable[[str, int], Awaitable[list[str]]], may_use: Callable[[str, str], bool]
    ) -> None:
        self._find = find
        self._may_use = may_use

    async def show(self, call: Call) -> web.Response:
        """`GET /api/v1/directories?prefix=`: those that begin so, one level below its last slash."""
        wanted = FORM.read(call.query)
        found = await self._find(wanted.prefix, wanted.limit)
        return answer(Directories(directories=[one for one in found if self._may_use(call.user.id, one)]))
