"""What a machine gives the image, before anything is trained: python -m smoke.preflight."""
