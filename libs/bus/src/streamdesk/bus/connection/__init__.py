"""The way to the server: its address, connections, Sentinels, and what its errors mean."""
