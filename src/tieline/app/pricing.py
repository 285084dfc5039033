"""Makes price lists anew where another version of their data is installed, in a short-lived process of its own.

Nothing waits for it: requests are served by the lists that are stored. A failure leaves them and is logged.
"""

import asyncio
import json
import logging
import sys
from typing import Any, Final

from tieline.access.caller import Caller
from tieline.controlplane import prices
from tieline.controlplane.services import Services
from tieline.core.errors import TielineError
from tieline.metering.versions import price_version
from tieline.settings.source import child_environment

log = logging.getLogger("tieline.app.pricing")

SECONDS: Final = 120.0


class NotMade(Exception):
    """Why there are no price lists of this version."""


async def keep_prices(services: Services, caller: Caller) -> None:
    """Bring the stored price lists to the installed version; raises nothing."""
    try:
        wanted = price_version()
        if await prices.stored_version(services) != wanted:
            await prices.replace_lists(services, caller, await _made())
            log.info("price lists of version %s are stored", wanted)
    except (NotMade, TielineError, OSError, ValueError, LookupError) as error:
        why = error.detail or error.public if isinstance(error, TielineError) else error
        log.warning("price lists could not be made, those that are stored stay in use: %s", why)


async def _made() -> list[dict[str, Any]]:
    """What the compiler prints. Raises NotMade."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "tieline.metering.compile_prices"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(),
    )
    try:
        async with asyncio.timeout(SECONDS):
            printed, told = await process.communicate()
    except TimeoutError:
        raise NotMade(f"it took longer than {SECONDS:.0f} seconds") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = told.decode(errors="replace").strip().splitlines()
    if process.returncode != 0:
        raise NotMade(lines[-1] if lines else f"the compiler ended with {process.returncode}")
    for line in lines:
        log.warning("%s", line)
    lists = [json.loads(line) for line in printed.splitlines()]
    if not lists:
        raise NotMade("the compiler printed none")
    return lists
