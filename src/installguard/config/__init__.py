"""The policy file: found, read and shown; `linting` and `writing` are for the verbs that need them."""
