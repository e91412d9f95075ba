"""The streamdesk command: brings the desk up on one machine and looks inside."""
