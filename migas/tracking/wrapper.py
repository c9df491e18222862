"""The wrapper around a tracked function: to everything that looks at it, the function itself.

Each call makes a session of its own and does nothing but enter and leave it. What reaches the
caller is what the bare function gives, our own frame taken out of the traceback.
"""

from __future__ import annotations

import sys
from types import CoroutineType, FunctionType, coroutine

from migas.tracking import wrapt_types
from migas.tracking.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from types import FrameType
    from typing import Any

    from wrapt import BoundFunctionWrapper, FunctionWrapper

    from migas.tracking.plan import Plan
else:
    FunctionWrapper, BoundFunctionWrapper = wrapt_types.load()

# The flags of a function's code (inspect, "Code Objects Bit Flags").
_CO_GENERATOR = 0x20
_CO_COROUTINE = 0x80
_CO_ITERABLE_COROUTINE = 0x100
_CO_ASYNC_GENERATOR = 0x200


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
            _drop_own_frame(error)
            if error.__traceback__ and error.__traceback__.tb_frame.f_code is call.__code__:
                _drop_own_frame(error)
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


class _Unawaited:
    """Holds a coroutine whose tracked wrapper may never be awaited.

    Python then warns about the wrapper, under the function's name; closing the coroutine itself
    keeps it from warning a second time.
    """

    __slots__ = ("coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine = coroutine

    def __del__(self) -> None:
        close = getattr(self.coroutine, "close", None)
        if close is not None:
            close()


def _runner_for(function: Any, plan: Plan) -> Callable[..., Any]:
    """The wrapper in wrapt's form that fits what a function returns."""
    flags = _flags(function)
    if flags & _CO_COROUTINE:
        return _later_runner(plan, _drive_coroutine)
    if flags & _CO_GENERATOR:
        return _later_runner(plan, _drive_either_generator)
    if flags & _CO_ASYNC_GENERATOR:
        return _later_runner(plan, _drive_async_generator)
    return _function_runner(plan)


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
            _drop_own_frame(error)
            raise
        if session is None:
            return result
        if isinstance(result, CoroutineType):
            # A plain function around a coroutine function: the run lasts until it was awaited.
            session.place.leave()
            return _named_like(_drive_coroutine(session, result), result)
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


def _later_runner(plan: Plan, drive: Callable[[Session, Any], Any]) -> Callable[..., Any]:
    """For functions whose body runs after the call, in the coroutine or generator they return."""

    def run(wrapped: Any, _instance: object, args: Any, kwargs: Any) -> Any:
        try:
            inner = wrapped(*args, **kwargs)
        except BaseException as error:
            _drop_own_frame(error)
            raise
        return _named_like(drive(Session(plan), inner), inner)

    return run


def _drive_coroutine(
    session: Session, coroutine: Coroutine[Any, Any, Any]
) -> Coroutine[Any, Any, Any]:
    return _await(session, _Unawaited(coroutine))


async def _await(session: Session, held: _Unawaited) -> Any:
    session.start()
    session.place.enter()
    try:
        result = await held.coroutine
    except BaseException as error:
        session.stop(error)
        _drop_own_frame(error)
        raise
    session.stop_returned(result)
    return result


def _drive_generator(
    session: Session, generator: Generator[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    """Pass everything through; the run is current only while the generator's own body runs.

    What is thrown in, `close()`'s GeneratorExit included, is thrown on, so whether it ends the
    generator is decided inside. A list hands values over, so that none is kept from dying.
    """
    resume: Callable[[Any], Any] = generator.send
    handed: list[Any] = [None]
    session.start()
    while True:
        session.place.enter()
        try:
            handed.append(resume(handed.pop()))
        except StopIteration as stop:
            session.stop_returned(stop.value)
            return stop.value
        except BaseException as error:
            session.stop(error)
            _drop_own_frame(error)
            raise
        session.place.leave()
        try:
            handed.append((yield handed.pop()))
            resume = generator.send
        except BaseException as error:  # noqa: BLE001  whatever is thrown in is thrown on
            _drop_own_frame(error)
            handed.append(error)
            resume = generator.throw


# The same code, whose generators can be awaited.
_drive_awaitable_generator = coroutine(FunctionType(_drive_generator.__code__, globals()))


def _drive_either_generator(session: Session, generator: Generator[Any, Any, Any]) -> Any:
    """As `_drive_generator`; what `types.coroutine` has marked can be awaited afterwards, too."""
    flags = getattr(getattr(generator, "gi_code", None), "co_flags", 0)
    is_awaitable = flags & _CO_ITERABLE_COROUTINE
    return (_drive_awaitable_generator if is_awaitable else _drive_generator)(session, generator)


async def _drive_async_generator(
    session: Session, generator: AsyncGenerator[Any, Any]
) -> AsyncGenerator[Any, Any]:
    """As `_drive_generator`, for asynchronous generators."""
    session.start()
    handed: list[Any] = [_first_step(generator)]
    while True:
        session.place.enter()
        try:
            handed.append(await handed.pop())
        except StopAsyncIteration:
            session.stop()
            return
        except BaseException as error:
            session.stop(error)
            _drop_own_frame(error)
            raise
        session.place.leave()
        try:
            handed.append(generator.asend((yield handed.pop())))
        except BaseException as error:  # noqa: BLE001  whatever is thrown in is thrown on
            _drop_own_frame(error)
            handed.append(generator.athrow(error))


def _first_step(generator: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Begin a generator unseen by the event loop, which would close it beside its wrapper.

    A loop that shuts down closes all generators that it knows, side by side. It knows those that
    began with its hooks in place.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _drop_own_frame(error: BaseException) -> None:
    """Take the frame that has just caught an exception out of its traceback."""
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next


def _named_like(wrapper: Any, inner: Any) -> Any:
    """Give a coroutine or generator the name that warnings and debuggers show."""
    for name in ("__name__", "__qualname__"):
        setattr(wrapper, name, getattr(inner, name, getattr(wrapper, name)))
    return wrapper
