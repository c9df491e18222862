"""Tracked coroutines and generators: the run lasts as long as what a function returned.

It is current only while that runs. What is sent, thrown in and closed reaches the function's own
coroutine or generator as if there were nothing around it.
"""

from __future__ import annotations

import sys
from types import FunctionType, coroutine

from migas.host import drop_own_frame
from migas.tracking.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from typing import Any

    from migas.tracking import Plan

# The flags of a function's code (inspect, "Code Objects Bit Flags").
_CO_GENERATOR = 0x20
_CO_COROUTINE = 0x80
_CO_ITERABLE_COROUTINE = 0x100


def runner(plan: Plan, flags: int) -> Callable[..., Any]:
    """The wrapper in wrapt's form for functions whose body runs after the call.

    Args:
        plan: What is asked of each run.
        flags: Of the function's code.
    """
    if flags & _CO_COROUTINE:
        drive: Callable[[Session, Any], Any] = _drive_coroutine
    else:
        drive = _drive_either_generator if flags & _CO_GENERATOR else _drive_async_generator

    def run(wrapped: Any, _instance: object, args: Any, kwargs: Any) -> Any:
        try:
            inner = wrapped(*args, **kwargs)
        except BaseException as error:
            drop_own_frame(error)
            raise
        return _named_like(drive(Session(plan), inner), inner)

    return run


def of_coroutine(session: Session, inner: Coroutine[Any, Any, Any]) -> Any:
    """A coroutine around one that a plain function has returned, whose run has begun."""
    session.place.leave()
    return _named_like(_drive_coroutine(session, inner), inner)


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
        drop_own_frame(error)
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
            drop_own_frame(error)
            raise
        session.place.leave()
        try:
            handed.append((yield handed.pop()))
            resume = generator.send
        except BaseException as error:  # noqa: BLE001  whatever is thrown in is thrown on
            drop_own_frame(error)
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
            drop_own_frame(error)
            raise
        session.place.leave()
        try:
            handed.append(generator.asend((yield handed.pop())))
        except BaseException as error:  # noqa: BLE001  whatever is thrown in is thrown on
            drop_own_frame(error)
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


def _named_like(wrapper: Any, inner: Any) -> Any:
    """Give a coroutine or generator the name that warnings and debuggers show."""
    for name in ("__name__", "__qualname__"):
        setattr(wrapper, name, getattr(inner, name, getattr(wrapper, name)))
    return wrapper
