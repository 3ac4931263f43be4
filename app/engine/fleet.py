"""Node -> engine. One client per node and process; its connections are reused by all threads."""

from __future__ import annotations

import threading

from app.domain.node import Node
from app.engine.client import EngineClient
from app.engine.engine import Engine


class Fleet:
    def __init__(self) -> None:
        self._engines: dict[tuple[str, str], Engine] = {}
        self._lock = threading.Lock()

    def on(self, node: Node) -> Engine:
        """The engine of a node, spoken to in the best version that it has, at most 1.44."""
        key = (node.url, node.api_version)
        with self._lock:
            engine = self._engines.get(key)
            if engine is None:
                engine = self._engines[key] = Engine(EngineClient(node.url, version=node.api_version))
            return engine
