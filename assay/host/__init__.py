"""This machine: what several commands share on it."""
