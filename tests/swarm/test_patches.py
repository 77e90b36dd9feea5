"""The guards on libraries: each test first shows what happens without one."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat.server import Server, answer

CERTIFICATE = Path(__file__).parents[1] / "cable" / "loopback.pem"


def run(code: str, *arguments: str) -> str:
    """Run code in a fresh process and return the last line that it prints: Locust prints warnings of its own."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


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
    assert run(KEEP_ALIVE).split() == ["False", "True", "False"]


# Three users each exchange a request over TLS; what is counted is every TLS context that lives afterwards, whoever made it.
TLS_CONTEXTS = """
import gc, sys, types, _ssl
import locust
from locust.contrib.fasthttp import FastHttpUser
from locust.env import Environment
from loadkit.chat.models import Profile
from loadkit.swarm import Agent, ContactUser, settings
from loadkit.swarm.look import Look
from loadkit.swarm.place import Place
from loadkit.swarm.run import Run

class Plain(FastHttpUser):
    insecure = False

class Customer(ContactUser):
    pass

def contexts():
    return sum(isinstance(thing, _ssl._SSLContext) for thing in gc.get_objects())

def ask(user):
    assert user.client.get("/x").status_code == 200
    return user

host = sys.argv[1]
environment = Environment(user_classes=[Plain, Customer], host=host)
given = {option.name: option.default for option in settings.OPTIONS} | {"host": host, "inbox": "an-inbox"}
given |= {"num_users": None, "run_time": None}
wanted = settings.read(types.SimpleNamespace(**given), {"LOADKIT_AGENT_TOKENS": "a-token"})
before = contexts()
environment.loadkit = Run(environment, wanted, Look((Profile(1, "secret"),), 1), Place("0123abcd"), agent_class=Agent)
ours = [ask(Customer(environment)) for _ in range(3)]
shared = contexts() - before
Plain.host = host
theirs = [ask(Plain(environment)) for _ in range(3)]
print(shared, contexts() - before - shared)
"""


@pytest.fixture
def tls_server() -> Iterator[Server]:
    """Answers a request on each of six connections, by a certificate that `CERTIFICATE` vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server = Server(*[[answer({})]] * 6, tls=context)
    yield server
    server.close()


def test_one_tls_context_serves_all_users(tls_server: Server) -> None:
    """Locust's own users make a TLS context each, with every authority loaded anew; ours, cables and agents included, share one."""
    command = [sys.executable, "-c", TLS_CONTEXTS, tls_server.host]
    environment = {**os.environ, "SSL_CERT_FILE": str(CERTIFICATE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["1", "3"], done.stderr
    assert (tls_server.accepted, len(tls_server.requests)) == (6, 6)


# A master and a worker of Locust's in one process, and four steps of a ramp; what is counted is how often a parser is made.
PARSERS = """
import gevent, locust
from locust import User, argument_parser, task
from locust.env import Environment
from loadkit.swarm import patches

class Idle(User):
    @task
    def rest(self):
        gevent.sleep(60)

def within(condition):
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.01)

made = []
empty = argument_parser.get_empty_argument_parser
def counted(*args, **options):
    made.append(1)
    return empty(*args, **options)
argument_parser.get_empty_argument_parser = counted

def step(users):
    made.clear()
    master.start(users, 100)
    within(lambda: worker.user_count == users)
    return len(made)

options = argument_parser.parse_options(args=["-f", "-"])
master = Environment(user_classes=[Idle], parsed_options=options).create_master_runner("127.0.0.1", 0)
worker = Environment(user_classes=[Idle]).create_worker_runner("127.0.0.1", master.server.port)
within(lambda: master.clients.ready)
without = step(2) + step(4)
patches.spawn_without_parsing()
print(without, step(6) + step(8))
master.quit()
"""


def test_a_step_of_a_ramp_parses_no_options() -> None:
    """Locust makes a parser for every option at each step, 0.2 s in all during which a worker stands still; with the guard one once."""
    without, guarded = map(int, run(PARSERS).split())
    assert without >= 10 * guarded
    assert guarded <= 1


# A run of five minutes, two requests a second, one of them failed; then the rates that Locust shows.
SECONDS = """
import locust
from locust.stats import RequestStats
from loadkit.swarm import patches

stats = RequestStats()
now = 1_700_000_000
stats.total.start_time = now
def rows():
    entry = stats.entries["message.create", "POST"]
    return [len(counts) for one in (stats.total, entry) for counts in (one.num_reqs_per_sec, one.num_fail_per_sec)]
def rates():
    entry = stats.entries["message.create", "POST"]
    return [(one.current_rps, one.current_fail_per_sec, one.num_requests, one.num_failures) for one in (stats.total, entry)]
entry = stats.get("message.create", "POST")
for second in range(now, now + 300):
    for one in (stats.total, entry):
        one.num_requests += 2
        one.num_failures += 1
        one.num_reqs_per_sec[second] += 2
        one.num_fail_per_sec[second] += 1
        one.last_request_timestamp = second
before = rows(), rates()
patches.forget_old_seconds(stats)
patches.forget_old_seconds(RequestStats())
print(*before[0], *rows(), before[1] == rates(), rates()[0][0])
"""


def test_old_seconds_are_forgotten() -> None:
    """Locust keeps a row a second for ever; with the guard a minute of them, and its rates and counts are the same."""
    *rows, same, rate = run(SECONDS).split()
    assert rows[:4] == ["300"] * 4
    assert max(map(int, rows[4:])) <= 61
    assert (same, rate) == ("True", "2.0")


# An owner whose place is gone; and one that is guarded twice.
PLACES = """
import logging, types
import locust
from locust import argument_parser
from loadkit.swarm import patches

lines = []
log = logging.getLogger("loadkit")
log.addHandler(types.SimpleNamespace(level=0, handle=lambda record: lines.append(record.getMessage())))
log.propagate = False
newer = types.ModuleType("newer_locust")
newer.renamed, newer.gone = len, "not a function any more"
held = dict(vars(newer))
patches._replace(newer, "missing", lambda found: print)
assert dict(vars(newer)) == held and len(lines) == 1, lines
patches._replace(newer, "gone", lambda found: print)
assert dict(vars(newer)) == held and len(lines) == 2, lines
from geventhttpclient.connectionpool import ConnectionPool
from locust.contrib.fasthttp import LocustUserAgent
def places():
    return [argument_parser.default_args_dict, ConnectionPool._is_socket_alive, vars(LocustUserAgent).get("redirect_resonse_codes")]
before = places()
patches.apply()
once = places()
patches.apply()
assert places() == once and once[:2] != before[:2]
assert argument_parser.default_args_dict() == argument_parser.default_args_dict.__wrapped__()
print(len(lines), lines[0])
"""


def test_a_guard_without_its_place_says_so_and_steps_aside() -> None:
    """One line that names what is missing, nothing changed; and to apply the guards twice changes nothing either."""
    lines, _, text = run(PLACES).partition(" ")
    assert lines == "2"
    assert text.endswith("newer_locust has no missing")


# A redirect that must not be followed, first as this Locust asks for it and then with the guard.
REDIRECTS = """
import inspect, sys
import locust
from geventhttpclient import useragent
from locust.contrib import fasthttp
from locust.env import Environment
from loadkit.swarm import patches

class Plain(fasthttp.FastHttpUser):
    host = sys.argv[1]

def ask():
    try:
        return Plain(Environment()).client.get("/x", allow_redirects=False).status_code
    except AttributeError:
        return "raised"

name = "redirect_resonse_codes"
expected = "raised" if name in inspect.getsource(fasthttp) and name not in inspect.getsource(useragent) else 302
without = ask()
patches.spell_redirects_both_ways()
print(expected, without, ask())
"""


def test_redirects_can_be_forbidden() -> None:
    """Locust 2.43 beside a newer geventhttpclient raises for every request that forbids redirects; with the guard it is not followed."""
    moved = answer(b"", "302 Found", headers=["Location: /elsewhere"])
    server = Server(*[[moved] * 3] * 3)
    try:
        expected, without, guarded = run(REDIRECTS, server.host).split()
    finally:
        server.close()
    assert without == expected
    assert guarded == "302"
    assert set(server.lines) == {"GET /x"}


PORT_IN_USE = """
import socket
from locust.env import Environment
from loadkit.swarm import patches

def outcome(port):
    try:
        Environment().create_master_runner("127.0.0.1", port)
    except BaseException as error:
        return type(error).__name__

with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
    before = outcome(port)
    patches.listen_for_workers()
    print(before, outcome(port))
"""


def test_a_master_that_cannot_listen_ends_instead_of_raising() -> None:
    """Locust's main lets its error through, and then waits for the workers that it forked; the sentence and the end are system-tested."""
    assert run(PORT_IN_USE).split() == ["RPCError", "SystemExit"]


# A greenlet that is busy when Ctrl-C comes, and a main that waits for it.
INTERRUPT = """
import os, signal, sys
import gevent
import locust
from loadkit.swarm import patches

def busy():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100_000):
            pass
        gevent.sleep(1)
    except KeyboardInterrupt:
        print("in the middle of something")

signal.signal(signal.SIGINT, signal.SIG_IGN if sys.argv[1] == "deaf" else signal.default_int_handler)
if sys.argv[1] != "bare":
    patches.interrupt_main_alone()
gevent.get_hub().exception_stream = None
try:
    gevent.spawn(busy).join()
    print("not at all")
except KeyboardInterrupt:
    print("where it is waited for")
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("bare", ["in the middle of something", "not at all"]),
        ("guarded", ["where it is waited for"]),
        ("deaf", ["not at all"]),
    ],
)
def test_ctrl_c_ends_no_request(how: str, told: list[str]) -> None:
    """Python interrupts whichever greenlet runs; guarded, only main, and a process that was started deaf to Ctrl-C stays deaf."""
    done = subprocess.run([sys.executable, "-c", INTERRUPT, how], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == told
