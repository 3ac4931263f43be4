"""gunicorn's settings that the front door and CloudAPI share: what of a request is believed, and how much is read.

The two files in `deploy/` that take them say the rest.
"""

import grp
import os
from pathlib import Path

#: 0660: who can connect to a socket is believed where the connection comes from, and at the front door who he is.
umask = 0o117
control_socket_disable = True

# No header is believed, and none may be spelled in two ways.
forwarder_headers = ""
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
header_map = "refuse"
proxy_protocol = "off"
http_protocols = "h1"
http_parser = "python"

limit_request_line = 8190
limit_request_fields = 64

accesslog = None
errorlog = "-"


def hand_over_socket(path: str | Path, group: str) -> None:
    """Give a listening socket to nginx's group ("": to nobody else), before the first connection."""
    if group:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    os.chmod(path, 0o660)
