"""What changes a container, or makes an image of it: update and commit."""

from __future__ import annotations

import falcon

from app.api import params
from app.api.body import answer, read_json, upgraded
from app.domain.policy import Rules, decide_changes, decide_commit, decide_update
from app.services.container_commit import CommitSpec, ContainerCommit
from app.services.container_update import ContainerUpdate


class ContainerUpdating:
    """POST /containers/{name}/update"""

    def __init__(self, update: ContainerUpdate, rules: Rules) -> None:
        self._update = update
        self._rules = rules

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        _, body = upgraded(req, read_json(req))
        warnings = self._update.update(req.context.account, name, decide_update(body, self._rules))
        answer(req, resp, {"Warnings": warnings or None})


class ContainerCommitting:
    """POST /commit"""

    def __init__(self, commit: ContainerCommit, rules: Rules) -> None:
        self._commit = commit
        self._rules = rules

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, body = upgraded(req, read_json(req))
        spec = CommitSpec(
            repository=params.one(query, "repo"),
            tag=params.one(query, "tag"),
            comment=params.one(query, "comment"),
            author=params.one(query, "author"),
            pause=params.boolean(query, "pause", default=True),
            changes=decide_changes(params.several(query, "changes")),
            config=decide_commit(body, self._rules),
        )
        image_id = self._commit.commit(req.context.account, params.one(query, "container"), spec)
        answer(req, resp, {"Id": image_id}, status=201)
