"""When, how much, and what is said: pure schedules, delays and texts."""
