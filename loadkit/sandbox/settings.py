"""What an inbox is set to: automatic messages, working hours, and how it takes conversations. Values; nothing here sends anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["InboxSettings", "fresh_hours", "zone"]

Day = dict[str, Any]

_TIMES = ("open_hour", "open_minutes", "close_hour", "close_minutes")


def fresh_hours() -> list[Day]:
    """Return the hours of a fresh inbox: Monday to Friday, nine to five; Sunday is day 0."""
    return [_open_day(day) if 0 < day < 6 else _closed_day(day) for day in range(7)]


def _open_day(day: int) -> Day:
    hours = {"open_hour": 9, "open_minutes": 0, "close_hour": 17, "close_minutes": 0}
    return {"day_of_week": day, "closed_all_day": False, **hours, "open_all_day": False}


def _closed_day(day: int) -> Day:
    return {"day_of_week": day, "closed_all_day": True, **dict.fromkeys(_TIMES), "open_all_day": False}


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """The settings of an inbox under the names by which the agent API takes and shows them."""

    greeting_enabled: bool = False
    greeting_message: str | None = None
    working_hours_enabled: bool = False
    out_of_office_message: str | None = None
    timezone: str = "UTC"
    csat_survey_enabled: bool = False
    csat_config: dict[str, Any] = field(default_factory=dict)
    enable_auto_assignment: bool = True
    enable_email_collect: bool = True
    lock_to_single_conversation: bool = False
    allow_messages_after_resolved: bool = True
    sender_name_type: str = "friendly"
    business_name: str | None = None
    working_hours: list[Day] = field(default_factory=fresh_hours)
    webhook_url: str | None = None
    additional_attributes: dict[str, Any] = field(default_factory=dict)

    def with_hours(self, days: list[Any]) -> InboxSettings:
        """Return these settings with some days of the week replaced; what is no day is passed over."""
        known = {day["day_of_week"]: day for day in self.working_hours}
        for day in days:
            if isinstance(day, dict) and isinstance(number := day.get("day_of_week"), int) and number in known:
                known[number] = known[number] | {key: day[key] for key in known[number] if key in day}
        return replace(self, working_hours=[known[number] for number in sorted(known)])

    def closed_at(self, moment: datetime) -> bool:
        """Return whether nobody works at a moment (with its zone); an inbox without hours is never closed."""
        if not self.working_hours_enabled:
            return False
        local = moment.astimezone(zone(self.timezone))
        day = self.working_hours[(local.weekday() + 1) % 7]
        if day["closed_all_day"] or day["open_all_day"]:
            return bool(day["closed_all_day"])
        opens, closes = ((day[f"{edge}_hour"] or 0) * 60 + (day[f"{edge}_minutes"] or 0) for edge in ("open", "close"))
        return not opens <= local.hour * 60 + local.minute < closes


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name, UTC for one that is unknown."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
