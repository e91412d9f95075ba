"""The gateway's rules: no I/O, no clock, no bus.

protocol   the messages of clients and the replies
closing    why sockets are closed
frames     an event, encoded once for all sockets
access     which channels a token allows
outbox     the bounded queue of one socket, and its rules when full
history    the recent events a new subscriber is shown
hub        the subscriptions
"""
