"""A plan becomes findings: which processes run, how each is bounded, and which families of checks they run."""
