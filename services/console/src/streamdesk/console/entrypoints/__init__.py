"""What calls the console: its command line."""
