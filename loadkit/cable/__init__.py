"""Action Cable: what is said on a socket, and how sockets are held, received from and timed."""
