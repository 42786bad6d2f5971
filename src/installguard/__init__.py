"""Judge every release before pip installs or builds it."""

__version__ = "0.1.0"
