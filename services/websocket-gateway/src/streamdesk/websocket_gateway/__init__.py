"""The bus in a browser: live channels and the dashboard page."""
