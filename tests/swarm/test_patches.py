"""The guards on libraries: each test first shows what happens without one."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: importing Locust patches the standard library, and a thousand files are opened.
KEEP_ALIVE = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
import locust
from geventhttpclient.connectionpool import ConnectionPool
from loadkit.swarm import patches
held = [open("/dev/null") for _ in range(1100)]
here, there = socket.socketpair()
assert here.fileno() > 1023
pool = ConnectionPool.__new__(ConnectionPool)
before = pool._is_socket_alive(here)
patches.keep_alive_past_1023_files()
after = pool._is_socket_alive(here)
there.close()
print(before, after, pool._is_socket_alive(here))
"""


def test_keep_alive_survives_more_than_a_thousand_files() -> None:
    """Above descriptor 1023 geventhttpclient takes a live connection for dead; by poll() it lives, and a closed one is seen as closed."""
    out = subprocess.run([sys.executable, "-c", KEEP_ALIVE], capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.split() == ["False", "True", "False"]


TLS_CONTEXTS = """
import ssl, locust
made = []
real = ssl.create_default_context
def counted(*a, **k):
    made.append(1)
    return real(*a, **k)
import gevent.ssl
gevent.ssl.create_default_context = counted
from geventhttpclient.client import HTTPClient
for _ in range(3):
    HTTPClient("127.0.0.1", 1, ssl=True, ssl_context_factory=counted)
own = len(made)
shared = real()
made.clear()
for _ in range(3):
    HTTPClient("127.0.0.1", 1, ssl=True, ssl_context_factory=lambda cafile=None, **_: shared)
print(own, len(made))
"""


def test_one_tls_context_serves_all_users() -> None:
    """A client makes a TLS context, and loads every authority, for itself; a factory that returns the shared one makes none."""
    out = subprocess.run([sys.executable, "-c", TLS_CONTEXTS], capture_output=True, text=True, check=True, timeout=60).stdout
    own, shared = map(int, out.split())
    assert own >= 3
    assert shared == 0
