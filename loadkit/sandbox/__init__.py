"""A OneHash Chat small enough to trust: the target of the demo and of the tests."""

from __future__ import annotations

from loadkit.sandbox.server import Sandbox

__all__ = ["Sandbox"]
