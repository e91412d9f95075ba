"""The gateway's rules: no I/O, no clock, no bus.

protocol   what clients may say and what they are told
closing    why sockets are closed
frames     an event, encoded once for every socket
access     who may see which channel
outbox     the bounded queue of one socket, and what happens when it is full
history    the recent events a new subscriber is shown
hub        who listens to what
"""
