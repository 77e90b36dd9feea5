"""The system under test: host, inboxes, account and secrets. Parsed once, from a TOML file and the environment; options override.

Secrets stay inside: neither `repr` nor `public` shows them, and a file that holds one must be readable by its owner alone.
"""

from __future__ import annotations

import ipaddress
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadkit.errors import TargetError

__all__ = ["HMAC_VARIABLE", "TOKENS_VARIABLE", "Target", "host_of"]

TOKENS_VARIABLE, HMAC_VARIABLE = "LOADKIT_AGENT_TOKENS", "LOADKIT_HMAC_TOKEN"
_KEYS = {"host", "account", "inbox", "hmac_token", "agent_tokens"}
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a run goes. `host` is scheme, name and port without a trailing slash; `owned` says that a file named it."""

    host: str = ""
    inboxes: tuple[str, ...] = ()
    account: int | None = None
    agent_tokens: tuple[str, ...] = field(default=(), repr=False)
    hmac_token: str | None = field(default=None, repr=False)
    owned: bool = False

    @classmethod
    def read(cls, path: Path) -> Target:
        """Return the target of a TOML file. Raises TargetError with one sentence."""
        try:
            content = path.read_bytes()
            values = tomllib.loads(content.decode())
            mode = path.stat().st_mode
        except OSError as error:
            raise TargetError(f"the target file {path} cannot be read: {error.strerror}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TargetError(f"the target file {path} is not TOML: {error}") from None
        if unknown := sorted(values.keys() - _KEYS):
            raise TargetError(f"the target file {path} has keys that loadkit does not know: {', '.join(unknown)}")
        if (values.get("agent_tokens") or values.get("hmac_token")) and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise TargetError(f"the target file {path} holds secrets and others may read it: chmod 600 {path}")
        return cls._of(values, f"the target file {path}")

    @classmethod
    def _of(cls, values: Mapping[str, Any], where: str) -> Target:
        inbox = values.get("inbox", ())
        inboxes = (inbox,) if isinstance(inbox, str) else tuple(inbox) if isinstance(inbox, list) else inbox
        tokens = values.get("agent_tokens", [])
        account, hmac_token = values.get("account"), values.get("hmac_token")
        if not isinstance(inboxes, tuple) or not all(isinstance(one, str) and one for one in inboxes):
            raise TargetError(f"{where}: inbox is an inbox identifier, or a list of them")
        if not isinstance(tokens, list) or not all(isinstance(one, str) and one for one in tokens):
            raise TargetError(f"{where}: agent_tokens is a list of access tokens")
        if account is not None and (not isinstance(account, int) or isinstance(account, bool) or account < 1):
            raise TargetError(f"{where}: account is a number, the id in the dashboard's address")
        if hmac_token is not None and not isinstance(hmac_token, str):
            raise TargetError(f"{where}: hmac_token is a text")
        host = values.get("host", "")
        return cls(host_of(host) if host else "", inboxes, account, tuple(tokens), hmac_token or None, bool(host))

    def with_options(self, *, host: str | None = None, inbox: str | None = None, account: int | None = None) -> Target:
        """Return the target with what was given as options in place of its own."""
        changed = self
        if host:
            plain = host_of(host)
            changed = replace(changed, host=plain, owned=changed.owned and plain == changed.host)
        if inbox:
            changed = replace(changed, inboxes=tuple(part.strip() for part in inbox.split(",") if part.strip()))
        if account:
            changed = replace(changed, account=account)
        return changed

    def with_environment(self, environment: Mapping[str, str]) -> Target:
        """Return the target with the secrets of the environment where the file has none."""
        tokens = tuple(part.strip() for part in environment.get(TOKENS_VARIABLE, "").split(",") if part.strip())
        return replace(
            self,
            agent_tokens=self.agent_tokens or tokens,
            hmac_token=self.hmac_token or environment.get(HMAC_VARIABLE) or None,
        )

    def check(self, *, mine: str = "") -> None:
        """Say in one sentence what is missing. `mine` is the host that a person claims to own. Raises TargetError."""
        if not self.host:
            raise TargetError("no target: give --target FILE, or --host")
        if not self.inboxes:
            raise TargetError(f"no inbox for {self.host}: give `inbox` in the target file, or --inbox")
        if not self.agent_tokens:
            raise TargetError(f"no agent's access token for {self.host}: give agent_tokens in the target file, or {TOKENS_VARIABLE}")
        if not (self.is_loopback or self.owned or (mine and mine.rstrip("/").lower() in (self.host, urlsplit(self.host).hostname))):
            name = urlsplit(self.host).hostname
            raise TargetError(f"{self.host} is not this machine: put it into a target file, or repeat it as --i-own-this-host {name}")

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine by name or number."""
        name = urlsplit(self.host).hostname or ""
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost" or name.endswith(".localhost")

    @property
    def cable_url(self) -> str:
        """The websocket address without its path, ws or wss as the host is http or https."""
        return "ws" + self.host.removeprefix("http")

    def public(self) -> dict[str, Any]:
        """Return what may be written into a run's header: everything but the secrets."""
        return {
            "host": self.host,
            "inboxes": list(self.inboxes),
            "account": self.account,
            "agent_tokens": len(self.agent_tokens),
            "hmac": self.hmac_token is not None,
        }


def host_of(text: Any) -> str:
    """Return a host in lower case and without its trailing slash. Raises TargetError for what is no http(s) address of a host alone."""
    plain = text.strip() if isinstance(text, str) else ""
    if "@" in plain:  # said without the text: what stands before the sign may be a password
        raise TargetError("a host has no user or password in it: write it like http://127.0.0.1:3000")
    try:
        parts = urlsplit(plain)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits or parts.path not in ("", "/") or parts.query or parts.fragment or _UNFIT.search(plain) or parts.netloc.endswith(":"):
        raise TargetError(f"host {text!r} is not an address like http://127.0.0.1:3000")
    return f"{parts.scheme}://{parts.netloc.lower()}"
