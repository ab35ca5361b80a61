"""Engines by name: the one of this package, and those that others install.

A package offers an engine by an entry point of the group `photoanimer_async.engines`::

    [project.entry-points."photoanimer_async.engines"]
    live = "my_package:LiveEngine"

The entry point names a class or function that takes no arguments and gives an
`photoanimer_async.engine.Engine`.
"""

from importlib.metadata import entry_points

from photoanimer_async.engine.portrait import Engine, WarpEngine

GROUP = "photoanimer_async.engines"
WARP = "warp"


def load_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        ValueError: No engine of that name is installed.
        TypeError: What is installed under the name makes no engine.
    """
    if name == WARP:
        return WarpEngine()
    found = entry_points(group=GROUP)
    if name not in found.names:
        installed = ", ".join(sorted({WARP, *found.names}))
        raise ValueError(f"no engine {name!r} is installed; there are: {installed}")
    engine = found[name].load()()
    if not callable(getattr(engine, "prepare", None)):
        raise TypeError(f"the entry point {name!r} made {engine!r}, which has no prepare()")
    return engine  # type: ignore[no-any-return]  # an entry point is untyped
