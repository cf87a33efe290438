"""The one door to processes and to the container engine."""
