"""Locust's side of loadkit: users, desk, run, and everything that is registered with Locust."""
