"""Reporters: a verdict as text for people, or as data for programs."""
