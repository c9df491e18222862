"""The wrapper around a tracked function: to everything that looks at it, the function itself.

Each call makes a session of its own and does nothing but enter and leave it. What reaches the
caller is what the bare function gives, our own frame taken out of the traceback.
"""

from __future__ import annotations

import sys
from types import CoroutineType, FunctionType

from migas import host
from migas.host import drop_own_frame
from migas.tracking import wrapt_types
from migas.tracking.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from wrapt import BoundFunctionWrapper, FunctionWrapper

    from migas.tracking import Plan
else:
    FunctionWrapper, BoundFunctionWrapper = wrapt_types.load()

# The flags of a function's code (inspect, "Code Objects Bit Flags").
_CO_COROUTINE = 0x80
_CO_LATER = _CO_COROUTINE | 0x20 | 0x200
"""Of coroutine functions, and of generator functions of both kinds."""


def wrap(function: Any, plan: Plan) -> Any:
    """A wrapper whose calls are runs.

    Args:
        function: A function, method, coroutine function, (async) generator function, or any other
            object that can be called.
        plan: What is asked of each run.
    """
    tracked: Any = TrackedFunction(function, _runner_for(function, plan))
    tracked._self_plan = plan  # noqa: SLF001  wrapt keeps what is named like this to itself
    return tracked


def _shown_class(tracked: Any) -> type:
    """That of the function itself.

    But cloudpickle takes a function that it carries by value apart before it asks `__reduce_ex__`,
    so there, and nowhere else, it learns what a wrapper really is.
    """
    asker = sys._getframe(1)  # noqa: SLF001
    if asker.f_code.co_name == "reducer_override" and _is_carried_by_value(tracked, asker):
        return type(tracked)
    shown: type = tracked.__wrapped__.__class__
    return shown


def _is_carried_by_value(tracked: Any, asker: FrameType) -> bool:
    """Whether a cloudpickle, of which several packages bring their own, asks and carries it so.

    What it refers to by name instead arrives as it is.
    """
    is_by_name = asker.f_globals.get("_should_pickle_by_reference")
    try:
        return is_by_name is not None and not is_by_name(tracked)
    except TypeError:
        return True  # no function, but something else that can be called


class _TrackedBound(BoundFunctionWrapper):  # type: ignore[type-arg]
    """A tracked method taken from its instance or class; it pickles and copies as a plain one."""

    __class__ = property(_shown_class)

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return getattr, (self._owner(), self.__wrapped__.__name__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        from copy import deepcopy

        return getattr(deepcopy(self._owner(), memo), self.__wrapped__.__name__)

    def _owner(self) -> object:
        owner = getattr(self.__wrapped__, "__self__", None)
        return self._self_owner if owner is None else owner


class TrackedFunction(FunctionWrapper):  # type: ignore[type-arg]
    """A function whose calls are runs; to everything that looks at it, the function itself."""

    __bound_function_wrapper__ = _TrackedBound

    __class__ = property(_shown_class)

    def __reduce_ex__(self, protocol: object) -> str | tuple[object, ...]:
        asker = sys._getframe(1)  # noqa: SLF001
        if _is_carried_by_value(self, asker):
            plan = asker.f_globals["dumps"](self._self_plan)
            return _carried(), (self.__wrapped__, plan)
        name = getattr(self.__wrapped__, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self.__wrapped__, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return str(name)
        # Nothing is called as we are: only what we wrap can be found from elsewhere.
        return _identity, (self.__wrapped__,)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


def _frameless(call: Any) -> Any:
    """A call of wrapt's that is written in Python, without its frame and ours in tracebacks."""

    def __call__(self: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        try:
            return call(self, *args, **kwargs)
        except BaseException as error:
            drop_own_frame(error)
            if error.__traceback__ and error.__traceback__.tb_frame.f_code is call.__code__:
                drop_own_frame(error)
            raise

    return __call__


if isinstance(FunctionWrapper.__call__, FunctionType):  # in a zip no C can be loaded
    for _class in (TrackedFunction, _TrackedBound):
        _class.__call__ = _frameless(_class.__call__)  # type: ignore[method-assign]


def _carried() -> Any:
    """What wraps a function again where it arrives; it is carried by value itself.

    There may be no migas there, and then the function arrives without its wrapper.
    """

    def arrive(function: Any, plan: bytes) -> Any:
        try:
            from pickle import loads

            from migas.settings import permission

            if permission.refusal_by_user() is not None:
                return function
            from migas.tracking.wrapper import wrap

            return wrap(function, loads(plan))  # noqa: S301  it came with the function
        except Exception:  # noqa: BLE001  whatever is missing there, the program goes on
            return function

    return FunctionType(arrive.__code__, {"__name__": "__main__"}, "arrive")


def _identity(function: Any) -> Any:
    return function


def _runner_for(function: Any, plan: Plan) -> Callable[..., Any]:
    """The wrapper in wrapt's form that fits what a function returns."""
    flags = _flags(function)
    if not flags & _CO_LATER:
        return _function_runner(plan)
    with host.forks_held_off():
        from migas.tracking import generators
    return generators.runner(plan, flags)


def _flags(function: Any) -> int:
    """The flags of the code that a call runs, as `inspect.iscoroutinefunction` and its like see it.

    Importing inspect costs 14 ms, and its marks cannot be there without it.
    """
    plain = getattr(function, "__func__", function)
    functools, inspect = sys.modules.get("functools"), sys.modules.get("inspect")
    while functools is not None and isinstance(plain, functools.partial):
        plain = plain.func
    called = plain if hasattr(plain, "__code__") else type(plain).__call__
    flags = getattr(getattr(called, "__code__", None), "co_flags", 0)
    if inspect is not None and inspect.iscoroutinefunction(called):
        flags |= _CO_COROUTINE
    return flags if isinstance(flags, int) else 0


def _function_runner(plan: Plan) -> Callable[..., Any]:
    def run(wrapped: Any, _instance: object, args: Any, kwargs: Any) -> Any:
        session = _opened(plan)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            if session is not None:
                session.stop(error)
            drop_own_frame(error)
            raise
        if session is None:
            return result
        if isinstance(result, CoroutineType):
            # A plain function around a coroutine function: the run lasts until it was awaited.
            with host.forks_held_off():
                from migas.tracking import generators
            return generators.of_coroutine(session, result)
        session.stop_returned(result)
        return result

    return run


def _opened(plan: Plan) -> Session | None:
    """A run that has begun, or None where a recursion leaves no room to begin one."""
    try:
        session = Session(plan).start()
    except RecursionError:
        return None
    return session if session.is_open else None
