"""OneHash Chat: its words, its routes, and what a customer and an agent can do over HTTP."""
