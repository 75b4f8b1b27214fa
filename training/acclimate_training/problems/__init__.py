"""Problems to meta-train on: which robots, which task, what it costs."""
