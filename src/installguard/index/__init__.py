"""The loopback index: stands in front of the user's indexes while an installer runs, and denies files page by page."""
