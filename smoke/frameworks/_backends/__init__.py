"""What Keras shares with the files of its backends, one file a backend: only the one that Keras runs on is imported.

Each has the same functions. They are the backend's words for what Keras has no word for: the device, determinism, the
class of float32 products, the kernels that ran, and what the backend was built for.
"""
