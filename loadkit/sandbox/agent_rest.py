"""The agent API's people: who a token belongs to, what they are there for, and everybody who works in the account."""

from __future__ import annotations

from typing import Any

from loadkit import clock
from loadkit.chat import routes
from loadkit.sandbox import agent_views
from loadkit.sandbox.agent_access import ACCOUNT_PATH, admin_of, ids, known, required, user_of, wrong
from loadkit.sandbox.dialect import Dialect
from loadkit.sandbox.exchange import Answer, Refused, Request, as_id, empty, json_answer
from loadkit.sandbox.params import is_true
from loadkit.sandbox.presence import Presence
from loadkit.sandbox.router import Router
from loadkit.sandbox.rows import User
from loadkit.sandbox.store import Store

__all__ = ["AgentApi"]

AVAILABILITIES = ("online", "busy", "offline")
ROLES = ("agent", "administrator")
AGENTS = ACCOUNT_PATH + "/agents"
PROFILE = routes.AGENT_PROFILE.template


class AgentApi:
    """The actions on users, and `GET /api`."""

    def __init__(self, store: Store, presence: Presence, dialect: Dialect) -> None:
        self._store = store
        self._presence = presence
        self._dialect = dialect

    def add_to(self, router: Router) -> None:
        """Declare the routes."""
        router.add("GET", "/api", self.health)
        router.add("GET", PROFILE, self.show_profile)
        router.add("POST", PROFILE + "/availability", self.set_availability)
        router.add("POST", PROFILE + "/auto_offline", self.set_auto_offline)
        router.add("GET", AGENTS, self.list_agents)
        router.add("POST", AGENTS, self.create_agent)
        for method in ("PATCH", "PUT"):
            router.add(method, AGENTS + "/{agent}", self.update_agent)
        router.add("DELETE", AGENTS + "/{agent}", self.delete_agent)

    def health(self, request: Request) -> Answer:
        """GET what the server says about itself."""
        moment = f"{clock.utc():%Y-%m-%d %H:%M:%S}"
        return json_answer({"version": self._dialect.version, "timestamp": moment, "queue_services": "ok", "data_services": "ok"})

    def show_profile(self, request: Request) -> Answer:
        """GET who the token belongs to."""
        return self._profile(user_of(self._store, request))

    def _profile(self, user: User) -> Answer:
        return json_answer(agent_views.profile(user, self._presence.availability))

    def set_availability(self, request: Request) -> Answer:
        """POST what a user wants to be shown as."""
        user = user_of(self._store, request)
        chosen = _of_profile(request).get("availability")
        if chosen not in AVAILABILITIES:
            raise Refused(wrong(f"'{chosen}' is not a valid availability"))
        user.availability = chosen
        return self._profile(user)

    def set_auto_offline(self, request: Request) -> Answer:
        """POST whether a user goes offline when their app is closed."""
        user = user_of(self._store, request)
        user.auto_offline = is_true(_of_profile(request).get("auto_offline", False))
        return self._profile(user)

    def list_agents(self, request: Request) -> Answer:
        """GET everybody who works in the account."""
        user_of(self._store, request)
        return json_answer([agent_views.agent_row(user, self._presence.availability) for user in self._store.users])

    def create_agent(self, request: Request) -> Answer:
        """POST a new agent, unconfirmed until they choose a password; their access token works at once."""
        admin_of(self._store, request)
        fields = request.attributes("agent") or request.params
        email = str(fields.get("email") or "").lower()
        if not email:
            required(request, "email")
        if any(user.email == email for user in self._store.users):
            raise Refused(wrong("Validation failed: User has already been taken"))
        role = fields.get("role") if fields.get("role") in ROLES else "agent"
        seen = [inbox for inbox in self._store.inboxes if inbox.id in ids(fields.get("selected_inboxes"))]
        user = self._store.add_user(str(fields.get("name") or email), role=str(role), inboxes=tuple(seen), email=email)
        user.confirmed = False
        return self._row(user)

    def update_agent(self, request: Request) -> Answer:
        """PATCH an agent's name, role, availability or going offline."""
        admin_of(self._store, request)
        user = self._agent(request)
        fields = request.attributes("agent") or request.params
        user.name = str(fields.get("name") or user.name)
        user.role = str(fields["role"]) if fields.get("role") in ROLES else user.role
        user.availability = str(fields["availability"]) if fields.get("availability") in AVAILABILITIES else user.availability
        user.auto_offline = is_true(fields["auto_offline"]) if "auto_offline" in fields else user.auto_offline
        return self._row(user)

    def delete_agent(self, request: Request) -> Answer:
        """DELETE an agent from the account."""
        admin_of(self._store, request)
        self._store.remove_user(self._agent(request))
        return empty()

    def _agent(self, request: Request) -> User:
        return known(self._store.user_by_id(as_id(request.fills["agent"])))

    def _row(self, user: User) -> Answer:
        return json_answer(agent_views.agent_row(user, self._presence.availability))


def _of_profile(request: Request) -> dict[str, Any]:
    required(request, "profile")
    return request.attributes("profile")
