"""Digest by lighttpd: other people's server, on a free port, with one user for each of two folders.

``/md5/`` and ``/sha256/`` hold a file ``a.txt`` each; the latter asks for hashed user names too.
"""

import hashlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection

USER = "Jäsøn Doe"
PASSWORD = "Secret, or " + "not?"
CONTENT = "well proved\n"
_PATIENCE = 20.0
_REALM = "tests"
_CONFIGURATION = """
server.modules = ("mod_auth", "mod_authn_file")
server.document-root = "{home}/www"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{home}/errors"
auth.backend = "htdigest"
$HTTP["url"] =~ "^/md5/" {{
  auth.backend.htdigest.userfile = "{home}/md5"
  auth.require = ("" => ("method" => "digest", "realm" => "{realm}", "require" => "valid-user", "algorithm" => "MD5"))
}}
$HTTP["url"] =~ "^/sha256/" {{
  auth.backend.htdigest.userfile = "{home}/sha256"
  auth.require = ("" => ("method" => "digest", "realm" => "{realm}", "require" => "valid-user",
                         "algorithm" => "SHA-256", "userhash" => "enable"))
}}
"""


def _hashed(name: str, *parts: str) -> str:
    return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()


@contextmanager
def guarding(program: str, home: Path, port: int) -> Iterator[str]:
    """The base URL of a server whose files are in ``home``, stopped afterwards."""
    for name in ("md5", "sha256"):
        folder = home / "www" / name
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text(CONTENT)
        line = (USER, _REALM, _hashed(name, USER, _REALM, PASSWORD), _hashed(name, USER, _REALM))
        (home / name).write_text(":".join(line) + "\n")
    configuration = home / "lighttpd.conf"
    configuration.write_text(_CONFIGURATION.format(home=home, port=port, realm=_REALM))
    with subprocess.Popen([program, "-D", "-f", str(configuration)]) as process:
        try:
            _wait(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
