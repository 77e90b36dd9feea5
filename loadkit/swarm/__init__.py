"""Locust's side of loadkit: users, desk, run, and everything that is registered with Locust."""

from loadkit.swarm.agent import Agent
from loadkit.swarm.install import install
from loadkit.swarm.users import ContactUser

__all__ = ["Agent", "ContactUser", "install"]
