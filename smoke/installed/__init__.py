"""What lies in the image: its libraries and packages, read and loaded without the framework."""
