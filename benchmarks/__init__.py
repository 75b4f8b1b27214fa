"""Every figure we publish, measured again with one command."""
