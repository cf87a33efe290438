"""The machine that the image runs on: processors, memory, driver, and the limits of the container."""
