"""The outside: processes, servers, files, the terminal."""
