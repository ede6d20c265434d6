"""``@action``: a function with an address of its own that stays the same across deploys.

The address is made of the file's path below ``app/`` and the function's name, by HMAC under a fixed key. It is an
address and no secret: every page shows it, and what protects an action is where the request comes from, and
``auth``. So it depends on no variable of the environment, and every process, machine and build has the same.
"""

from __future__ import annotations

import hmac
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload
from urllib.parse import quote

from ..context import current
from ..errors import ConfigError
from . import registry

if TYPE_CHECKING:
    from .arguments import Plan

PREFIX = "/_actions"
BOUND = "bound"  # what carries the bound arguments, in the query
PAGE = "page"  # where the form was, for a page that is shown at the address of its action

_KEY = b"turnout action id, version 1"
_LONGEST_URL = 6000  # the server takes queries of 8192 bytes


class Action:
    """A function that pages call; made by :func:`action`. Called in Python it is the function itself.

    Attributes:
        function: What was written.
        name: Its name.
        file: Where it is written.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is None:
            raise ConfigError(f"@action is for functions, not {function!r:.80}", cure="write @action above a def")
        self.function, self.name = function, function.__name__
        self.file, self.line = Path(code.co_filename), int(code.co_firstlineno)
        previous = function.__globals__.get(self.name)
        if isinstance(previous, Action) and previous.file == self.file:
            # Python would forget the first without a word, and its forms would call the second.
            raise ConfigError(
                f"two actions are called {self.name}, the first in line {previous.line}",
                file=self.file,
                line=self.line,
                cure="rename one: the name is part of its address",
            )
        self.plan: Plan | None = None  # how it is called, once somebody has read its signature
        self.__doc__ = function.__doc__
        if self.file.name != "actions.py":
            raise ConfigError(
                f"the action {self.name} is written in {self.file.name}, where nothing looks for actions",
                file=self.file,
                line=self.line,
                cure="move it to an actions.py in app/ or in a folder below",
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)

    @property
    def id(self) -> str:
        """32 hexadecimal digits, the same in every process and after every deploy."""
        return id_of(registry.place_of(self), self.name)

    @property
    def url(self) -> str:
        """Where forms and scripts send to.

        Raises:
            ConfigError: outside of a project, or no file of the project's actions holds it.
        """
        return self._url("")

    def bind(self, **arguments: Any) -> BoundAction:
        """This action with some arguments given by the server: sealed, so that no client can read or change them.

        Whoever has the address may send it, again and as another user: check in the action that they may.

        Raises:
            TypeError: it has no such parameter, or a value has no JSON form.
        """
        return BoundAction(self, arguments)

    @property
    def errors(self) -> Any:
        """What was wrong with the form of this action that is shown again; empty for any other."""
        from .page import errors_of

        return errors_of(self)

    @property
    def values(self) -> Any:
        """What was typed into the form of this action that is shown again; empty for any other."""
        from .page import values_of

        return values_of(self)

    def _url(self, token: str) -> str:
        registry.check_known(self)
        query = f"{BOUND}={token}" if token else ""
        request = current.get(None)
        if request is not None and request.failed_action is not None:
            # The browser shows the action's address now, so the next Referer would not say where the form is.
            query += f"{'&' if query else ''}{PAGE}={quote(request.failed_action.page, safe='')}"
        return f"{PREFIX}/{self.id}{registry.slash()}{'?' if query else ''}{query}"

    def __repr__(self) -> str:
        return f"<action {self.name} of {self.file}>"


class BoundAction:
    """An action with arguments that are given already; made by :meth:`Action.bind`."""

    def __init__(self, action: Action, arguments: dict[str, Any]) -> None:
        from .arguments import check_bound

        check_bound(action, arguments)
        self.action, self.arguments = action, arguments

    def bind(self, **arguments: Any) -> BoundAction:
        """More arguments beside those there are."""
        return BoundAction(self.action, {**self.arguments, **arguments})

    @property
    def url(self) -> str:
        """Where forms and scripts send to; another one each time, with the same in it.

        Raises:
            ConfigError: as for an action; or there is no key, or the extra ``auth`` is not installed.
            ValueError: the arguments are too long for an address.
        """
        from .seal import seal

        url = self.action._url(seal(self.action.id, self.arguments))
        if len(url) > _LONGEST_URL:
            raise ValueError(
                f"the bound arguments of {self.action.name} are too long for an address; bind an id instead"
            )
        return url

    @property
    def errors(self) -> Any:
        """As ``Action.errors``, if the form that failed had these arguments."""
        from .page import errors_of

        return errors_of(self.action, self.arguments)

    @property
    def values(self) -> Any:
        """As ``Action.values``, if the form that failed had these arguments."""
        from .page import values_of

        return values_of(self.action, self.arguments)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function with these arguments."""
        return self.action(*args, **{**self.arguments, **kwargs})

    def __repr__(self) -> str:
        return f"<{self.action!r} with {', '.join(self.arguments)}>"


@overload
def action(function: Callable[..., Any]) -> Action: ...
@overload
def action() -> Callable[[Callable[..., Any]], Action]: ...
def action(function: Callable[..., Any] | None = None) -> Any:
    """Let this site's own pages call the function below, by a form or by ``fetch``.

    Raises:
        ConfigError: it is no function, or not in a file called ``actions.py``.
    """
    return action if function is None else Action(function)


def id_of(place: str, name: str) -> str:
    """The id of the function *name* in the file *place*, a path below ``app/``."""
    return hmac.digest(_KEY, f"{place}\0{name}".encode(), "sha256").hex()[:32]
