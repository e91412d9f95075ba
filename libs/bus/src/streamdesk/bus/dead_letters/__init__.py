"""Messages that could not be handled: what is kept of them, and their way back."""
