"""Other engines than the analytic one: one module each, imported only by who asks for it."""
