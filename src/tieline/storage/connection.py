"""SQLAlchemy's engine for asyncio, and nothing of its ORM.

The package ``sqlalchemy.ext.asyncio`` loads the whole ORM for sessions that nobody opens here: six MiB and sixty
milliseconds in each process. So the package is made known without running what it does as it is loaded, and only the
module that matters is; whoever asks the package for anything else still gets it. Owns this; the rest of ``storage``
takes the names from here.
"""

import sys
from importlib.util import find_spec, module_from_spec

_PACKAGE = "sqlalchemy.ext.asyncio"


def _know_package() -> None:
    spec = find_spec(_PACKAGE)
    assert spec is not None  # SQLAlchemy is installed
    assert spec.loader is not None
    loader, package = spec.loader, module_from_spec(spec)

    def load_rest(name: str) -> object:
        """What the package is asked for and does not have yet; a module of it is found by the import that asks."""
        if find_spec(f"{_PACKAGE}.{name}") is not None:
            raise AttributeError(name)
        del package.__getattr__
        loader.exec_module(package)
        return getattr(package, name)

    package.__getattr__ = load_rest  # type: ignore[method-assign]
    sys.modules[_PACKAGE] = package


if _PACKAGE not in sys.modules:
    _know_package()

from sqlalchemy.ext.asyncio.engine import AsyncConnection, AsyncEngine, create_async_engine  # noqa: E402

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine"]
