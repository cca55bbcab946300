"""The door of a live server: sockets, keys, and the queue of messages that wait for the computation."""
