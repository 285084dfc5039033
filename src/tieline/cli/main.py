"""The ``tieline`` command's way in and out: which program runs, and how every error becomes a text and an exit code.

Exit 0: done. Exit 1: refused or failed. Exit 2: wrong usage. Exits 130 and 141 are the shells' for Ctrl-C and for a
reader of the output that has gone. The only blanket ``except`` of the command line is here.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import PurePath
from traceback import extract_tb
from typing import NoReturn

from tieline.core.errors import SettingsError, TielineError

FAILED, USAGE = 1, 2
INTERRUPTED, UNREAD = 128 + signal.SIGINT, 128 + signal.SIGPIPE  # as shells have it
HELP = frozenset({"-h", "--help"})


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that ``arguments`` (default: the process's own) name, and exit."""
    _fill_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["help"]:  # `tieline help key create`, as git and kubectl have it
        words = [*words[1:], "--help"]
    if words[:1] == ["serve-worker"]:
        # A process of `tieline serve`, started by its supervisor: no command line to read.
        from tieline.app.worker import work

        sys.exit(work(words[1], int(words[2])))
    status = run(words)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is over cannot be cancelled: the interpreter would die of it
    sys.exit(status)


def _fill_streams() -> None:
    """Open what was closed (``>&-``), so that no socket takes its number: nothing is read, and errors go nowhere.

    Output is opened so that it cannot be written, which ends a command that has some as a full device does.
    """
    for number, (name, flags, mode) in enumerate(
        (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
    ):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flags)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    is_json = "--json" in words
    try:
        status = _dispatch(words)
        sys.stdout.flush()  # what cannot be written is told below, not by the interpreter after the end
    except TielineError as error:
        return _fail(error, USAGE if isinstance(error, SettingsError) else FAILED, is_json=is_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone (`tieline key list | head`)
        _drop_output()
        return UNREAD
    except Exception as error:  # noqa: BLE001  whatever nobody foresaw still ends in one line, without its text
        return _fail(_unforeseen(error), FAILED, is_json=is_json)
    return status


def _dispatch(words: Sequence[str]) -> int:
    if words[:1] == ["serve"] and not HELP & set(words):
        from tieline.cli.serving import serve

        return serve(words[1:])
    from tieline.cli.commands import invoke

    return invoke(words)


def _unforeseen(error: Exception) -> TielineError:
    """What to say of an error that no code raised on purpose; standard output that takes no more is the usual one."""
    from tieline.cli.failures import UNWRITABLE, CommandFailed

    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        _drop_output()
        return CommandFailed(f"the output cannot be written: {error.strerror}. Send it to where there is room.")
    steps = extract_tb(error.__traceback__)
    place = f"{PurePath(steps[-1].filename).name}:{steps[-1].lineno}" if steps else "an unknown place"
    return TielineError(f"something is wrong inside Tieline ({type(error).__name__} at {place}): please report it.")


def _fail(error: TielineError, code: int, *, is_json: bool) -> int:
    from tieline.cli.failures import as_json, as_text

    print(as_json(error) if is_json else as_text(error.public), file=sys.stderr, flush=True)
    return code


def _drop_output() -> None:
    """Let what is still to be written go nowhere, so that the interpreter's last flush does not fail too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
