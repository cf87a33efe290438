"""The measured comparison."""
