"""The ``tieline`` command's way in and out: which program runs, and how every error becomes one line and an exit code.

Exit 0: done. Exit 1: refused or failed. Exit 2: wrong usage. The only blanket ``except`` of the command line is here.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import PurePath
from traceback import extract_tb
from typing import NoReturn

from tieline.core.errors import SettingsError, TielineError

DONE, FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that ``arguments`` (default: the process's own) name, and exit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["serve-worker"]:
        # A process of `tieline serve`, started by its supervisor: no command line to read.
        from tieline.app.worker import work

        sys.exit(work(words[1], int(words[2])))
    sys.exit(run(words))


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        if words[:1] == ["serve"] and "--help" not in words:
            from tieline.cli.serving import serve

            return serve(words[1:])
        from tieline.cli.commands import invoke

        return invoke(words)
    except SettingsError as error:
        return _fail(error.public, USAGE)
    except TielineError as error:
        return _fail(error.public, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`tieline key list | head`). Keep the interpreter from writing the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001  whatever nobody foresaw still ends in one line, without its text
        steps = extract_tb(error.__traceback__)
        place = f"{PurePath(steps[-1].filename).name}:{steps[-1].lineno}" if steps else "an unknown place"
        return _fail(
            f"something is wrong inside Tieline ({type(error).__name__} at {place}): please report it.", FAILED
        )


def _fail(text: str, code: int) -> int:
    print(f"tieline: {text}", file=sys.stderr, flush=True)
    return code
