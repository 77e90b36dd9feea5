"""Pages and tables of a finished run; pure functions of what `results` reads."""
