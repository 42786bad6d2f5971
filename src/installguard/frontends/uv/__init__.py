"""uv: its command line, its configuration, and how a command of it is run with everything judged."""
