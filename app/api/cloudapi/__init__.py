"""CloudAPI, as far as Docker's clients need it: who one is, one's keys, and where the Docker endpoint is.

A WSGI application of its own, in a process of its own behind nginx's HTTPS port. On the Docker socket identity is the
connection's certificate and comes from the preamble alone; here it is each request's HTTP Signature and comes from that
alone. No socket has both, so neither rule can be got around by way of the other.
"""

#: Of CloudAPI, whose shapes are answered; a client's Accept-Version changes nothing.
VERSION = "9.0.0"
