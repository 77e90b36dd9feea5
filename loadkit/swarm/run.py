"""A run in one process: everything that lives there from its start to its end, put together here and nowhere else.

Longer than other modules because it is the one place where the rooms meet; each method only hands on.
"""

from __future__ import annotations

import itertools
import random
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import gevent
from gevent.pool import Group
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
from loadkit.measure.recorder import BROKEN, Recorder
from loadkit.swarm.agent import Agent
from loadkit.swarm.customer import Customer, Session
from loadkit.swarm.desk import Desk
from loadkit.swarm.exchanges import Exchanges
from loadkit.swarm.gate import Gate
from loadkit.swarm.identities import Identities
from loadkit.swarm.listing import Listing
from loadkit.swarm.look import Look
from loadkit.swarm.place import Place
from loadkit.swarm.pulse import Pulse, set_heap_aside
from loadkit.swarm.samples import Samples
from loadkit.swarm.settings import RunSettings
from loadkit.swarm.watch import Watch
from loadkit.workload.persona import Personas, Pools

__all__ = ["Run"]

LISTING_US = 5_000_000
"""How long after it was given up a reply's POST is looked up in the agents' lists: the server may still be saving it."""

LAST_READS_US = 10_000_000
"""How long before the drain's bound the last reads of histories begin, at most; never more than a third of the drain."""

QUIET_US = 300_000
"""How long nothing may have come before nothing more is expected to: copies follow soon."""

READERS = 10
"""How many histories are read at once then."""


class Run:
    """A run: settings, recorder, ledger, receiver, desk. Made at `test_start`, found again by `Run.of(environment)`."""

    def __init__(
        self,
        environment: Environment,
        settings: RunSettings,
        look: Look,
        place: Place,
        *,
        agent_class: type[Agent],
        cuts: Sequence[float] = (),
        on_foreign: Callable[[Marker], None] | None = None,
    ) -> None:
        self.environment, self.settings, self.look = environment, settings, look
        self._cuts = cuts
        self.id, self.worker = place.run, place.rank
        self.stopping = False
        self._asked = 0
        self._inboxes = itertools.cycle(settings.target.inboxes)
        self.customers: set[Customer] = set()
        self._leaving: dict[Customer, int] = {}
        self._numbers, self._people = itertools.count(1), itertools.count(1)
        self._rng = random.Random(f"{settings.seed}:{self.worker}")
        self._pool: Any = None
        self._frames: dict[str, tuple[int, int]] = {}
        self._helpers = Group()
        self.ssl_context = _ssl_context(settings)
        self.personas = Personas(Pools.make(settings.seed + self.worker), self.new_random("texts"))
        self.recorder = Recorder(worker=self.worker)
        self.samples = Samples(environment)
        self.exchanges = Exchanges(self.recorder, self.samples)
        deadline_us, lost_after_us = round(settings.deadline * 1e6), round(settings.lost_after * 1e6)
        self.ledger = Ledger(self.recorder, deadline_us=deadline_us, lost_after_us=lost_after_us, log=settings.log_deliveries)
        self.watch = Watch(
            self.id,
            self.worker,
            ledger=self.ledger,
            recorder=self.recorder,
            samples=self.samples,
            on_back=self._on_back,
            on_failure=self.fault,
            on_foreign=on_foreign,
        )
        self.receiver = Receiver(needle(self.id), read_lag=lambda lag_us: self.recorder.latency("generator.read_lag", lag_us))
        self.desk = Desk(
            [self._agent(agent_class, n) for n in place.agents(settings.agent_count)],
            ledger=self.ledger,
            recorder=self.recorder,
            samples=self.samples,
            exchanges=self.exchanges,
            deadline_us=deadline_us,
            on_failure=self.greenlet_failed,
        )
        self.watch.desk = self.desk
        self.identities = Identities.of(settings, place, self.new_random("returning"))
        self.listing = Listing(self.ledger, self.desk, self.greenlet_failed)
        self._stopped_us, self._drain_us = 0, round(settings.drain * 1e6)
        self.gate = Gate.of(environment, settings, place, self.recorder)
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
        set_heap_aside()
        self.spawn(self.pulse.beat)
        if self.gate:
            self.spawn(self.gate.run)
        for moment in self._cuts:
            self.spawn(self._cut_cables, moment)
        openers = [gevent.spawn(self._open_agent, agent) for agent in self.desk.agents]
        gevent.joinall(openers, timeout=5)
        for opener in openers:
            opener.link_exception(self.greenlet_failed)

    def _cut_cables(self, moment: float) -> None:
        """Cut every customer's cable at a moment, all at once."""
        gevent.sleep(moment)
        cut = sum(cable.cut() for customer in list(self.customers) for cable in customer.cables)
        self.recorder.count("cable.cut", cut)
        self.recorder.event("note", text=f"{cut} customers' cables were cut on purpose, {moment:g} s after the start")

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

    def api(self, inbox: str = "") -> ContactApi:
        """Return the Client API of an inbox, by default the one whose turn it is."""
        return ContactApi(inbox or next(self._inboxes), hmac_token=self.settings.target.hmac_token)

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
        """Let a customer go, once: unpicked questions are forgotten, and the cables close when the owed replies and copies have come.

        During the drain all stay to its end: those whose cables are down read once then.
        """
        if customer not in self.customers:
            return
        self.customers.discard(customer)
        self.desk.forget(customer)
        self._leaving[customer] = clock.now_us() + self.ledger.lost_after_us
        if not self.stopping:
            self._see_off(customer, clock.now_us())

    def _see_off(self, customer: Customer, now_us: int) -> None:
        """Close the cables of one who leaves if nothing more can come: an end takes no longer than a loss does, and a look at a list."""
        if customer.owed:
            self._leaving[customer] = now_us + self.ledger.lost_after_us
        elif not self.ledger.pending_of(customer.key) or now_us >= self._leaving[customer] + LISTING_US:
            del self._leaving[customer]
            self._let_go(customer)

    def _let_go(self, customer: Customer) -> None:
        for cable in customer.cables:
            cable.close()
        customer.cable = None
        customer.sessions.clear()
        self.ledger.forget(customer.key, customer.conversations)

    def refetched(self, customer: Customer, message_ids: Iterable[int]) -> None:
        """Note what a customer has read over HTTP."""
        since = customer.cable.confirmed_us if customer.cable is not None else None
        for reply in self.ledger.refetched(customer.key, message_ids, open_since_us=since):
            customer.unanswered.discard(reply.marker)
        customer.notify()

    def refetch(self, customer: Customer) -> None:
        """Let a customer read back what was missed."""
        self.refetched(customer, customer.refetch())

    def _on_back(self, customer: Customer) -> None:
        self.spawn(self.refetch, customer)

    # Agents.

    def _agent(self, agent_class: type[Agent], number: int) -> Agent:
        target, seat = self.settings.target, number % len(self.look.profiles)
        client = AgentClient(
            target.host,
            target.agent_tokens[seat],
            account=self.look.account,
            connections=self.settings.agent_connections,
            ssl_context=self.ssl_context,
        )
        return agent_class(number, self.look.profiles[seat], client, self.new_random("agent"), self.personas.text)

    def _open_agent(self, agent: Agent) -> None:
        identifier = room_identifier(agent.profile.pubsub_token, account_id=self.look.account, user_id=agent.profile.id)
        pause = 0.5
        while not self.stopping:
            agent.cable = self.open_cable(identifier, agent)
            if agent.cable is not None:
                return
            gevent.sleep(pause)
            pause = min(10.0, pause * 2)

    def open_cable(self, identifier: str, tag: Agent | Customer | Session) -> Cable | None:
        """Open an agent's or a customer's cable, which comes back as is set for customers; None where that failed, which is counted."""
        cable = Cable(
            self.settings.target.cable_url + CABLE,
            identifier,
            receiver=self.receiver,
            watcher=self.watch,
            tag=tag,
            ssl_context=self.ssl_context,
            reconnect="immediate" if isinstance(tag, Agent) else self.settings.reconnect,
        )
        try:
            cable.open()
        except LoadkitError as error:
            self.watch.remote_error(cable, f"connect_{getattr(error, 'kind', 'failed')}", str(error))
            return None
        return cable

    def tick(self, second: float) -> None:
        """Look after everything that is due about once a second; `second` is how long the last one took."""
        now_us = clock.now_us()
        self.ledger.tick(now_us)
        self.desk.tick(now_us)
        self.listing.look_up(now_us - LISTING_US)
        for customer in [] if self.stopping else list(self._leaving):
            self._see_off(customer, now_us)
        self._gauges(now_us, second)
        self.samples.flush()
        for name, (n, size) in self.receiver.frames.items():
            before = self._frames.get(name, (0, 0))
            since_cut = self.recorder.frames.setdefault(name, [0, 0])
            since_cut[0] += n - before[0]
            since_cut[1] += size - before[1]
            self._frames[name] = (n, size)

    def _gauges(self, now_us: int, second: float) -> None:
        runner, gauge, count = self.environment.runner, self.recorder.gauge, self.recorder.count
        wanted = sum(customer.wanted_cables(now_us) for customer in self.customers)
        is_open = sum(customer.open_cables for customer in self.customers)
        present, asked = (runner.user_count, runner.target_user_count) if runner else (0, 0)
        gauge("cable.open", is_open)
        gauge("cable.wanted", max(wanted, is_open))
        gauge("customers", self.gate.inside if self.gate else present)
        gauge("customers.wanted", asked)
        gauge("desk.waiting", self.desk.waiting)
        self.pulse.sample()
        if self.stopping:
            return
        weight = max(1, round(second))
        count("cable.wanted_seconds", max(wanted, is_open) * weight)
        count("cable.missing_seconds", max(0, wanted - is_open) * weight)
        settled, self._asked = min(asked, self._asked), asked  # whom Locust was asked for since the last tick may still be starting
        if runner and runner.state == "running":
            count("customers.wanted_seconds", settled * weight)
            count("customers.missing_seconds", max(0, settled - present) * weight)

    # Ending.

    def spawn(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a helper greenlet of this run; an exception in it voids the run."""
        self._helpers.spawn(function, *args).link_exception(self.greenlet_failed)

    def greenlet_failed(self, greenlet: gevent.Greenlet) -> None:
        """Void the run for an exception that nobody else would see."""
        self.fault("greenlet", f"{type(greenlet.exception).__name__}: {greenlet.exception}")

    def fault(self, name: str, text: str) -> None:
        """Note something that makes the run void whatever it measured."""
        self.recorder.error(BROKEN, name, text)

    def drain(self) -> None:
        """Stop asking, let due replies go out, and wait until nothing is pending or the bound passes; the last reads are within it.

        The bound counts from the stop, and from the last reply that leaves after it: that one may be lost as late as any other.
        """
        self._stopped_us = clock.now_us()
        self.stopping = True
        if self.gate:
            self.gate.close()
        self.desk.close(self._stopped_us)
        last_us = min(LAST_READS_US, self._drain_us // 3)
        readers = Group()
        self._settle(last_us, readers)
        away = iter([each for each in (*self.customers, *self._leaving) if each.contact is not None and not each.is_open])
        for _ in range(READERS):
            readers.spawn(self._read_offline, away).link_exception(self.greenlet_failed)
        self._settle(last_us // 3, readers)
        self.desk.cut()
        self.listing.last_look(max(0, self._left_us) / 1e6)
        self._settle(0, readers)
        readers.kill(block=True, timeout=1)

    @property
    def _left_us(self) -> int:
        """How much of the drain is left."""
        last_us = min(self.desk.last_sent_us, self._stopped_us + self._drain_us)
        return max(self._stopped_us, last_us) + self._drain_us - clock.now_us()

    def _settle(self, spare_us: int, readers: Group) -> None:
        """Wait until nothing is under way and nothing has come for a moment, or until no more than that is left of the drain."""
        while self._left_us > spare_us:
            self.listing.look_up(clock.now_us() - LISTING_US)
            self.ledger.tick(clock.now_us())
            quiet_us = clock.now_us() - max(self._stopped_us, self.ledger.last_seen_us)
            if quiet_us > QUIET_US and not (self.desk.is_busy or self.ledger.pending_count or len(readers)):
                return
            gevent.sleep(0.05)

    def _read_offline(self, away: Iterator[Customer]) -> None:
        """Let customers whose cables are down read once, as a reopened app would, one after the other."""
        for customer in away:
            self.refetch(customer)

    def close(self) -> None:
        """Give every reply that has none its end; what still comes is not looked at. A request that hung until now has failed."""
        if self.gate:
            self.gate.settle()
        self.desk.give_up()
        self.exchanges.give_up(clock.now_us() - self.ledger.deadline_us)
        away = sum(len(customer.cables) - customer.open_cables for customer in [*self.customers, *self._leaving])
        if away:
            self.recorder.count("cable.away", away)
        self.ledger.close(clock.now_us())
        self.watch.closed = True

    def end(self) -> None:
        """Close everything; what was recorded stays."""
        self.stopping = True
        self.watch.closed = True
        self._helpers.kill(block=True, timeout=1)
        for customer in [*self.customers, *self._leaving]:
            self._let_go(customer)
        self.customers.clear()
        self._leaving.clear()
        self.desk.end()
        self.receiver.close()


def _ssl_context(settings: RunSettings) -> ssl.SSLContext | None:
    return ssl.create_default_context() if settings.target.host.startswith("https:") else None
