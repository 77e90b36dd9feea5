"""One run in one process: everything that lives from its start to its summary, put together here and nowhere else.

Longer than other modules because it is the one place where the rooms meet; each method only hands on.
"""

from __future__ import annotations

import itertools
import platform
import random
import secrets
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import gevent
from gevent.pool import Group, Pool
from locust.env import Environment

from loadkit import clock
from loadkit.cable.connection import Cable
from loadkit.cable.frames import room_identifier
from loadkit.cable.receiver import Receiver
from loadkit.chat.agent import AgentClient
from loadkit.chat.contact import ContactApi
from loadkit.chat.marker import Marker, needle
from loadkit.chat.routes import CABLE
from loadkit.errors import LoadkitError
from loadkit.measure.ledger import Ledger
from loadkit.measure.recorder import Recorder
from loadkit.results.format import Header
from loadkit.swarm.customer import Customer
from loadkit.swarm.desk import Agent, Desk
from loadkit.swarm.look import Look
from loadkit.swarm.pulse import Pulse
from loadkit.swarm.samples import Samples
from loadkit.swarm.settings import RunSettings
from loadkit.swarm.watch import Watch
from loadkit.workload.persona import Personas, Pools

__all__ = ["Run"]

_PACKAGES = ("locust", "gevent", "websocket-client", "msgspec")


class Run:
    """A run: settings, recorder, ledger, receiver, desk. Made at `test_start`, found again by `Run.of(environment)`."""

    def __init__(self, environment: Environment, settings: RunSettings, look: Look, *, agent_class: type[Agent], worker: int = 0) -> None:
        self.environment, self.settings, self.look = environment, settings, look
        self.worker = worker
        self.id = secrets.token_hex(4)
        self.started_us, self.started_unix_us = clock.now_us(), clock.unix_us()
        self.stopping = False
        self.faults: dict[str, str] = {}
        self.customers: set[Customer] = set()
        self._leaving: dict[Customer, int] = {}
        self._numbers, self._people = itertools.count(1), itertools.count(1)
        self._rng = random.Random(f"{settings.seed}:{worker}")
        self._pool: Any = None
        self._frames: dict[str, tuple[int, int]] = {}
        self._helpers = Group()
        self.ssl_context = _ssl_context(settings)
        self.personas = Personas(Pools.make(settings.seed + worker), self.new_random("texts"))
        self.recorder = Recorder(worker=worker)
        self.samples = Samples(environment)
        deadline_us, lost_after_us = round(settings.deadline * 1e6), round(settings.lost_after * 1e6)
        self.ledger = Ledger(self.recorder, deadline_us=deadline_us, lost_after_us=lost_after_us, log=settings.log_deliveries)
        self.watch = Watch(
            self.id, ledger=self.ledger, recorder=self.recorder, samples=self.samples, on_back=self._on_back, on_failure=self.fault
        )
        self.receiver = Receiver(needle(self.id), read_lag=lambda lag_us: self.recorder.latency("generator.read_lag", lag_us))
        self.desk = Desk(
            [self._agent(agent_class, n) for n in range(settings.agent_count)],
            ledger=self.ledger,
            recorder=self.recorder,
            samples=self.samples,
            deadline_us=deadline_us,
            on_failure=self._greenlet_failed,
        )
        self.watch.desk = self.desk
        self.pulse = Pulse(self.recorder)

    @staticmethod
    def of(environment: Environment) -> Run:
        """Return the run of an environment. Raises LoadkitError where there is none."""
        run = getattr(environment, "loadkit", None)
        if not isinstance(run, Run):
            raise LoadkitError("there is no run: does the scenario call install(events)?")
        return run

    def start(self) -> None:
        """Begin to beat, and open the agents' cables; what fails is counted and tried again in the background."""
        self.spawn(self.pulse.beat)
        openers = [gevent.spawn(self._open_agent, agent) for agent in self.desk.agents]
        gevent.joinall(openers, timeout=15)
        for opener in openers:
            opener.link_exception(self._greenlet_failed)

    # What users draw from.

    def new_marker(self, kind: str) -> Marker:
        """Return the next marker of this worker."""
        return Marker(self.id, self.worker, kind, next(self._numbers))

    def new_random(self, what: str) -> random.Random:
        """Return a generator of its own, seeded by the run's seed, the worker and the order of asking."""
        return random.Random(f"{what}:{self._rng.random()}")

    def new_identifier(self) -> str | None:
        """Return an external identifier for a contact where HMAC needs one, else None."""
        return f"lk-{self.id}-{self.worker}-{next(self._people)}" if self.settings.target.hmac_token else None

    def api(self) -> ContactApi:
        """Return the Client API of the inbox whose turn it is."""
        inboxes = self.settings.target.inboxes
        return ContactApi(inboxes[len(self.customers) % len(inboxes)], hmac_token=self.settings.target.hmac_token)

    @property
    def pool_size(self) -> int:
        """How many HTTP connections all customers share, 0 where each has its own."""
        return self.settings.pool

    def shared_pool(self, make: Callable[[int], Any]) -> Any:
        """Return the pool of connections that customers share."""
        if self._pool is None:
            self._pool = make(self.settings.pool)
        return self._pool

    def ssl_context_factory(self, cafile: Any = None, **_: Any) -> ssl.SSLContext:
        """Return the one TLS context for every connection: loading the authorities once a user costs 48 ms and 890 KiB each."""
        return self.ssl_context or ssl.create_default_context()

    # Customers come and go.

    def arrive(self, customer: Customer) -> None:
        """Take note of a customer."""
        self.customers.add(customer)

    def leave(self, customer: Customer) -> None:
        """Let a customer go: unpicked questions are forgotten, the cable closes when the owed replies have ended, at most a drain later.

        During the drain all stay to its end: those whose cables are down read once then.
        """
        self.customers.discard(customer)
        self.desk.forget(customer)
        if self._is_settled(customer) and not self.stopping:
            self._let_go(customer)
        else:
            self._leaving[customer] = clock.now_us() + round(self.settings.drain * 1e6)

    def _is_settled(self, customer: Customer) -> bool:
        return not customer.owed and not self.ledger.pending_of(customer.key)

    def _let_go(self, customer: Customer) -> None:
        if customer.cable is not None:
            customer.cable.close()
            customer.cable = None
        self.ledger.forget(customer.key, customer.conversations)

    def refetched(self, customer: Customer, message_ids: Iterable[int]) -> None:
        """Note what a customer has read over HTTP."""
        since = customer.cable.confirmed_us if customer.cable is not None else None
        for reply in self.ledger.refetched(customer.key, message_ids, open_since_us=since):
            marker = Marker.read(reply.marker)
            customer.unanswered.discard(marker.number if marker else 0)
        customer.notify()

    def refetch(self, customer: Customer) -> None:
        """Let a customer read back what was missed."""
        self.refetched(customer, customer.refetch())

    def _on_back(self, customer: Customer) -> None:
        self.spawn(self.refetch, customer)

    # Agents.

    def _agent(self, agent_class: type[Agent], n: int) -> Agent:
        target, profiles = self.settings.target, self.look.profiles
        client = AgentClient(
            target.host,
            target.agent_tokens[n % len(profiles)],
            account=self.look.account,
            connections=self.settings.agent_connections,
            ssl_context=self.ssl_context,
        )
        return agent_class(n, profiles[n % len(profiles)], client, self.new_random("agent"), self.personas.text)

    def _open_agent(self, agent: Agent) -> None:
        profile = agent.profile
        cable = Cable(
            self.settings.target.cable_url + CABLE,
            room_identifier(profile.pubsub_token, account_id=self.look.account, user_id=profile.id),
            receiver=self.receiver,
            watcher=self.watch,
            tag=agent,
            ssl_context=self.ssl_context,
        )
        pause = 0.5
        while not self.stopping:
            try:
                cable.open()
            except LoadkitError as error:
                self.recorder.error(f"connect_{getattr(error, 'kind', 'failed')}", "cable of an agent", str(error))
                gevent.sleep(pause)
                pause = min(10.0, pause * 2)
            else:
                agent.cable = cable
                return

    # Samples that are nobody's task.

    def http_done(self, route: str, took_us: int) -> None:
        """Time an exchange that got an answer."""
        self.recorder.latency(f"http.{route}", took_us)

    def http_failed(self, route: str, kind: str, example: str, *, took_us: int | None) -> None:
        """Count a failed exchange; `took_us` is None where there was no answer."""
        self.recorder.count(f"http.{route}.failed")
        if took_us is None:
            self.recorder.count(f"http.{route}.unanswered")
        if kind == "throttled":
            self.recorder.count("throttled")
        self.recorder.error(kind, route, example)

    def tick(self, second: float) -> None:
        """Look after everything that is due about once a second; `second` is how long the last one took."""
        now_us = clock.now_us()
        self.ledger.tick(now_us)
        self.desk.tick(now_us)
        for customer, until_us in [] if self.stopping else list(self._leaving.items()):
            if now_us >= until_us or self._is_settled(customer):
                del self._leaving[customer]
                self._let_go(customer)
        self._gauges(now_us, second)
        self.samples.flush()
        for name, (n, size) in self.receiver.frames.items():
            before = self._frames.get(name, (0, 0))
            self.recorder.frames[name] = [n - before[0], size - before[1]]
            self._frames[name] = (n, size)

    def _gauges(self, now_us: int, second: float) -> None:
        runner, gauge, count = self.environment.runner, self.recorder.gauge, self.recorder.count
        wanted = sum(customer.wants_cable(now_us) for customer in self.customers)
        is_open = sum(customer.is_open for customer in self.customers)
        present, asked = (runner.user_count, runner.target_user_count) if runner else (0, 0)
        gauge("cable.open", is_open)
        gauge("cable.wanted", max(wanted, is_open))
        gauge("customers", present)
        gauge("customers.wanted", asked)
        gauge("desk.waiting", self.desk.waiting)
        self.pulse.sample()
        if self.stopping:
            return
        weight = max(1, round(second))
        count("cable.wanted_seconds", max(wanted, is_open) * weight)
        count("cable.missing_seconds", max(0, wanted - is_open) * weight)
        if runner and runner.state == "running":
            count("customers.wanted_seconds", asked * weight)
            count("customers.missing_seconds", max(0, asked - present) * weight)

    # Ending.

    def spawn(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a helper greenlet of this run; an exception in it voids the run."""
        self._helpers.spawn(function, *args).link_exception(self._greenlet_failed)

    def _greenlet_failed(self, greenlet: gevent.Greenlet) -> None:
        self.fault("greenlet", f"{type(greenlet.exception).__name__}: {greenlet.exception}")

    def fault(self, name: str, text: str) -> None:
        """Note something that makes the run void whatever it measured."""
        self.faults.setdefault(name, f"something in the load generator broke: {text}")
        self.recorder.error("broken", name, text)

    def drain(self) -> None:
        """Stop asking, let due replies go out, and wait until nothing is pending or the bound passes; then every reply has an end."""
        stop_us = clock.now_us()
        self.stopping = True
        self.desk.close(stop_us)
        bound_us = stop_us + round(self.settings.drain * 1e6)
        asked: set[str] = set()
        while clock.now_us() < bound_us:
            self._list_unanswered(asked)
            self.ledger.tick(clock.now_us())
            quiet_us = clock.now_us() - max(stop_us, self.ledger.last_seen_us)
            if not self.desk.sending and not self.ledger.pending_count and quiet_us > 300_000:
                break
            gevent.sleep(0.05)
        self._read_offline()
        self.desk.end()
        self._list_unanswered(set())
        self.ledger.close(clock.now_us())
        self.watch.closed = True

    def _list_unanswered(self, asked: set[str]) -> None:
        replies = [reply for reply in self.ledger.pending() if reply.unanswered and reply.marker not in asked]
        asked |= {reply.marker for reply in replies}
        if replies:
            self.desk.list_unanswered(replies)

    def _read_offline(self) -> None:
        """Let every customer whose cable is down read once, as a reopened app would."""
        pool = Pool(10)
        for customer in [*self.customers, *self._leaving]:
            if customer.contact is not None and not customer.is_open:
                pool.spawn(self.refetch, customer).link_exception(self._greenlet_failed)
        pool.join(timeout=15)
        pool.kill(block=True, timeout=1)

    def end(self) -> None:
        """Close everything; what was recorded stays."""
        self.stopping = True
        self.watch.closed = True
        self._helpers.kill(block=True, timeout=1)
        for customer in [*self.customers, *self._leaving]:
            self._let_go(customer)
        self._leaving.clear()
        self.desk.end()
        self.receiver.close()

    def header(self, *, scenario: str, limits: dict[str, float]) -> Header:
        """Return the header of the run folder; it holds no secret."""
        started = datetime.fromtimestamp(self.started_unix_us / 1e6, UTC)
        name = "-".join(part for part in (started.strftime("%Y%m%dT%H%M%SZ"), scenario, self.settings.label) if part)
        options = self.environment.parsed_options
        users = {name: getattr(options, name, None) for name in ("users", "spawn_rate", "run_time")} if options else {}
        users["users"] = getattr(options, "num_users", None)
        return Header(
            loadkit=version("loadkit"),
            run=self.id,
            name=name,
            scenario=scenario,
            label=self.settings.label,
            started=started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            started_us=self.started_unix_us,
            target=self.settings.target.public(),
            agents=self.settings.agent_count,
            settings=self.settings.public() | {key: value for key, value in users.items() if value is not None},
            thresholds=list(self.settings.thresholds),
            limits=limits,
            environment=_environment(self.receiver.kernel_stamps),
            notes=[*self.look.notes, *self._token_note()],
        )

    def _token_note(self) -> list[str]:
        tokens, agents = len(self.settings.target.agent_tokens), self.settings.agent_count
        return [f"{agents} agents share {tokens} access tokens"] if agents > tokens else []


def _ssl_context(settings: RunSettings) -> ssl.SSLContext | None:
    return ssl.create_default_context() if settings.target.host.startswith("https:") else None


def _environment(kernel_stamps: bool) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        **{package: version(package) for package in _PACKAGES},
        "clock": clock.CLOCK,
        "receive stamps": "kernel (SO_TIMESTAMPNS) on plain TCP, user space on TLS" if kernel_stamps else "user space",
    }
