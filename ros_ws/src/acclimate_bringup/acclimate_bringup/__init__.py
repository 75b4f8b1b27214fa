"""Start the nodes together: parameters per robot, launch files, our own process runner."""
