"""Locust's options and the environment become one frozen `RunSettings`; nothing else reads an option or a variable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from loadkit import units
from loadkit.cable.reconnect import RECONNECT
from loadkit.chat.routes import ROUTES
from loadkit.errors import SettingsError, TargetError, ThresholdError
from loadkit.measure import threshold
from loadkit.swarm import identities
from loadkit.target import Target
from loadkit.workload import profile
from loadkit.workload.profile import Plan, Profile

__all__ = ["OPTIONS", "Option", "RunSettings", "add_options", "check_tags", "moments", "read"]

T = TypeVar("T")
MOST_AGENTS = 10_000


@dataclass(frozen=True, slots=True)
class Option:
    """One of our options, the same on the command line, in a config file, in the environment and in the web form."""

    name: str
    default: Any
    help: str
    in_form: bool = True
    several: bool = False

    @property
    def variable(self) -> str:
        """The environment's name for it."""
        return "LOADKIT_" + self.name.upper()


OPTIONS = (
    Option("target", "", "target file (TOML): host, inbox and the agents' access tokens", in_form=False),
    Option("inbox", "", "inbox identifier, or several with commas; overrides the target file"),
    Option("account", 0, "account id; default: taken from the agent's profile"),
    Option("agents", 0, "how many agents answer; default: as many as there are tokens"),
    Option("stages", "", "customers over time, such as 2m:50,30m:50,2m:0: linear ramps from the level before; instead of -u, -r and -t"),
    Option(
        "arrivals",
        "",
        "new customers over time: 2/s, constant 2/s or 5m:0.5/s,20m:2/s; random (Poisson) unless constant; -u: most at once",
    ),
    Option("deadline", "5s", "a reply on the customer's cable within this of when it was due is on time"),
    Option("lost_after", "30s", "an accepted reply not seen within this of when it was due is lost"),
    Option("drain", "", "bound for waiting after the stop until nothing is pending; default: as long as --lost-after"),
    Option("threshold", [], "a line such as 'reply.response p(99) < 800ms'; may be given several times", several=True),
    Option("thresholds", "", "file with one threshold a line", in_form=False),
    Option("results", "reports", "the folder in which run folders are made", in_form=False),
    Option("label", "", "a word or two that the run folder's name ends with"),
    Option("seed", 1, "seed of every random choice: texts, thinking times"),
    Option("connections", "user", "customers' HTTP connections: user (keep-alive, one a customer), pool:N, or close"),
    Option("agent_connections", 6, "POSTs that one agent has under way at once"),
    Option("reconnect", "immediate", "when a customer's cable comes back after a drop: " + ", ".join(RECONNECT)),
    Option("identities", "", "file in which customers are kept from run to run, with their secrets (mode 600)", in_form=False),
    Option("returning", "0%", "how many of the customers are some of an earlier run, from the --identities file"),
    Option("log_deliveries", False, "write deliveries.csv, one line an attempted reply, and stages.csv, where its time went"),
    Option("i_own_this_host", "", "repeat the host's name here if it is not this machine and no target file names it", in_form=False),
)


def add_options(parser: Any) -> None:
    """Add our options to Locust's parser. Called again for every page of the web UI: it changes nothing but the parser."""
    group = parser.add_argument_group(
        "loadkit", "What loadkit adds to Locust. Secrets are no options: they come from the target file or the environment."
    )
    for option in OPTIONS:
        settings: dict[str, Any] = {"dest": option.name, "default": option.default, "help": option.help, "env_var": option.variable}
        if isinstance(option.default, bool):
            settings["action"] = "store_true"
        elif option.several:
            settings |= {"action": "append", "metavar": "TEXT"}
        else:
            settings |= {"type": type(option.default), "metavar": option.name.split("_")[-1].upper()}
        action = group.add_argument("--" + option.name.replace("_", "-"), **settings)
        # A group takes none of Locust's own keywords, yet the form reads them from the action.
        action.include_in_web_ui = option.in_form
        action.is_secret, action.is_required, action.is_multiple = False, False, option.several


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that a run was asked for. Durations are seconds; `agents` 0 means as many as there are tokens."""

    target: Target
    agents: int
    deadline: float
    lost_after: float
    drain: float
    thresholds: tuple[str, ...]
    results: Path
    label: str
    seed: int
    connections: str
    pool: int
    agent_connections: int
    reconnect: str
    log_deliveries: bool
    identities: Path | None = None
    returning: float = 0.0
    stages: Profile | None = None
    arrivals: Plan | None = None

    @property
    def agent_count(self) -> int:
        """How many agents answer."""
        return self.agents or len(self.target.agent_tokens)

    def public(self) -> dict[str, Any]:
        """Return what the header shows: no secrets."""
        return {
            "agents": self.agent_count,
            "deadline": self.deadline,
            "lost_after": self.lost_after,
            "drain": self.drain,
            "connections": self.connections,
            "agent_connections": self.agent_connections,
            "reconnect": self.reconnect,
            "seed": self.seed,
            "log_deliveries": self.log_deliveries,
            **({"returning": self.returning} if self.returning else {}),
            **({"stages": str(self.stages)} if self.stages else {}),
            **({"arrivals": str(self.arrivals)} if self.arrivals else {}),
        }


def read(options: Any, environment: Mapping[str, str], *, scenario_thresholds: Sequence[str] = ()) -> RunSettings:
    """Return the settings of Locust's parsed options. Raises UsageError with one sentence; nothing was sent."""
    lost_after = _seconds(options, "lost_after")
    deadline = _seconds(options, "deadline")
    if not 0 < deadline <= lost_after:
        raise SettingsError(f"--deadline {options.deadline} must be above 0 and not above --lost-after {options.lost_after}")
    if options.stages and options.arrivals:
        raise SettingsError("--stages says how many customers there are, --arrivals how many come: give one of them")
    connections, pool = _connections(options.connections)
    if options.reconnect not in RECONNECT:
        raise SettingsError(f"--reconnect {options.reconnect!r} is none of {', '.join(RECONNECT)}")
    _check_amounts(options)
    return RunSettings(
        target=_target(options, environment),
        agents=_number(options, "agents", 0),
        deadline=deadline,
        lost_after=lost_after,
        drain=_seconds(options, "drain") if options.drain else lost_after,
        thresholds=_thresholds(options, scenario_thresholds),
        results=Path(options.results or "reports"),
        label=_label(options.label),
        seed=_number(options, "seed", 0),
        connections=connections,
        pool=pool,
        agent_connections=_number(options, "agent_connections", 1),
        reconnect=options.reconnect,
        log_deliveries=bool(options.log_deliveries),
        identities=_identities(options),
        returning=_returning(options),
        stages=_profile("stages", options.stages, profile.stages),
        arrivals=_profile("arrivals", options.arrivals, profile.arrivals),
    )


def moments(cut_cables: Sequence[str | float]) -> tuple[float, ...]:
    """Return the seconds after the start at which a scenario wants its cables cut. Raises SettingsError."""
    try:
        return tuple(units.seconds(moment) for moment in ([cut_cables] if isinstance(cut_cables, str) else cut_cables))
    except SettingsError as error:
        raise SettingsError(f"install(cut_cables=…): {error}") from None


def check_tags(options: Any, user_classes: Iterable[Any]) -> None:
    """Refuse tags that leave a kind of customers without a task: Locust would start them, and each fall over."""
    tags, excluded = set(options.tags or ()), set(options.exclude_tags or ())
    given = " ".join(" ".join((name, *sorted(some))) for name, some in (("--tags", tags), ("--exclude-tags", excluded)) if some)
    for user_class in user_classes if given else ():
        if not _has_task(user_class, tags, excluded):
            raise SettingsError(f"{given} leaves {user_class.__name__} without a task")


def _has_task(task: Any, tags: set[str], excluded: set[str]) -> bool:
    """Whether a task, or one of those that a user class or a task set holds, is picked, as Locust picks them."""
    if type(task).__name__ == "MarkovTaskSetMeta":
        return True
    if hasattr(task, "tasks"):
        return any(_has_task(one, tags, excluded) for one in task.tasks)
    own: set[str] = getattr(task, "locust_tag_set", set())
    return bool(not tags or own & tags) and not own & excluded


def _check_amounts(options: Any) -> None:
    """Refuse what Locust would take and never end, or never begin, with."""
    users = options.num_users
    if _number(options, "agents", 0) > MOST_AGENTS:
        raise SettingsError(f"--agents {options.agents} are more than {MOST_AGENTS}")
    if options.stages or options.arrivals:
        return
    if users is not None and users < 1:
        raise SettingsError(f"-u {users}: with no customers there is nothing to measure")
    if options.run_time == 0:
        raise SettingsError("-t 0: a run of no time measures nothing, and Locust would take it for one without an end")


def _target(options: Any, environment: Mapping[str, str]) -> Target:
    target = Target.read(Path(options.target)) if options.target else Target()
    target = target.with_options(host=options.host, inbox=options.inbox, account=_number(options, "account", 0))
    target = target.with_environment(environment)
    target.check(mine=options.i_own_this_host or "")
    if options.i_own_this_host and not target.is_loopback and options.i_own_this_host.rstrip("/") not in target.host:
        raise TargetError(f"--i-own-this-host {options.i_own_this_host} is not the host of this run, {target.host}")
    return target


def _thresholds(options: Any, scenario: Sequence[str]) -> tuple[str, ...]:
    """Return the scenario's lines, the file's and the option's, each once and checked."""
    lines = list(scenario)
    if options.thresholds:
        path = Path(options.thresholds)
        try:
            lines += threshold.parse_file(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ThresholdError(f"the thresholds file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    lines += options.threshold if isinstance(options.threshold, list) else [options.threshold]
    parsed = threshold.parse_all(lines)
    threshold.check_names(parsed, [route.name for route in ROUTES])
    return tuple(line.text for line in parsed)


def _seconds(options: Any, name: str) -> float:
    try:
        return units.seconds(getattr(options, name))
    except SettingsError as error:
        raise SettingsError(f"--{name.replace('_', '-')}: {error}") from None


def _identities(options: Any) -> Path | None:
    if not options.identities:
        return None
    identities.check(Path(options.identities))
    return Path(options.identities)


def _returning(options: Any) -> float:
    try:
        share = units.share(options.returning or "0%")
    except SettingsError as error:
        raise SettingsError(f"--returning: {error}") from None
    if not 0 <= share <= 1:
        raise SettingsError(f"--returning {options.returning} is not between 0% and 100%")
    if share and not options.identities:
        raise SettingsError("--returning needs --identities FILE: the customers of an earlier run")
    return share


def _profile(name: str, text: str, parse: Callable[[str], T]) -> T | None:
    try:
        return parse(text) if text.strip() else None
    except SettingsError as error:
        raise SettingsError(f"--{name}: {error}") from None


def _number(options: Any, name: str, least: int) -> int:
    value = getattr(options, name)
    try:
        number = int(value or 0)
    except (TypeError, ValueError):
        number = least - 1
    if number < least:
        raise SettingsError(f"--{name.replace('_', '-')} {value!r} is not a whole number from {least} on")
    return number


def _connections(text: str) -> tuple[str, int]:
    """Return the policy and the size of its pool, 0 where it has none."""
    if text in ("user", "close"):
        return text, 0
    kind, _, size = str(text).partition(":")
    if kind == "pool" and size.isdecimal() and int(size) > 0:
        return text, int(size)
    raise SettingsError(f"--connections {text!r} is neither user, pool:N nor close")


def _label(text: str) -> str:
    label = "-".join(str(text or "").split())
    if not all(sign.isalnum() or sign in "-_." for sign in label) or len(label) > 80:
        raise SettingsError(f"--label {text!r}: letters, digits, - _ and . only, 80 at most")
    return label
