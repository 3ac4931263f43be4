from __future__ import annotations

import json
from urllib.parse import quote

from app.domain.policy.volume import VolumeSpec
from tests.unit.api.stubs import Api

VOLUME = {"Name": "data", "Labels": None, "CreatedAt": "x", "Options": None, "Scope": "local"}


def test_create(api: Api) -> None:
    api.volumes.answers["create"] = VOLUME
    body = json.dumps({"Name": "data", "Labels": {"a": "b"}}).encode()
    made = api.call("POST", "/v1.44/volumes/create", body, Content_Type="application/json")
    assert made.status_int == 201 and made.json == VOLUME
    assert api.volumes.asked == [("create", (api.account, VolumeSpec("data", {"a": "b"})), {})]
    assert api.call("POST", "/v1.44/volumes/create").status_int == 400


def test_list_inspect_remove_prune(api: Api) -> None:
    api.volumes.answers |= {"list": {"Volumes": [VOLUME], "Warnings": None}, "inspect": VOLUME, "prune": {}}
    wanted = quote(json.dumps({"name": {"data": True}}))
    assert api.call("GET", f"/v1.44/volumes?filters={wanted}").json["Volumes"] == [VOLUME]
    assert api.call("GET", "/v1.44/volumes/data").json == VOLUME
    assert api.call("DELETE", "/v1.44/volumes/data?force=1").status_int == 204
    assert api.call("POST", "/v1.41/volumes/prune").status_int == 200
    assert api.volumes.asked == [
        ("list", (api.account, {"name": ["data"]}), {}),
        ("inspect", (api.account, "data"), {}),
        ("remove", (api.account, "data"), {"force": True}),
        ("prune", (api.account, {"all": ["true"]}), {}),
    ]
    assert api.call("GET", "/v1.44/volumes?filters=x").status_int == 400


def test_df_and_container_prune(api: Api) -> None:
    api.disk_usage.answers["show"] = {"Volumes": None}
    api.container_prune.answers["prune"] = {"ContainersDeleted": None, "SpaceReclaimed": 0}
    assert api.call("GET", "/v1.44/system/df?type=volume&type=image").status_int == 200
    assert api.call("GET", "/v1.44/system/df").status_int == 200
    assert api.call("GET", "/v1.44/system/df?type=x").status_int == 400
    asked = [list(args[1]) for _, args, _ in api.disk_usage.asked]
    assert asked == [["volume", "image"], ["container", "image", "volume", "build-cache"]]
    assert api.call("POST", "/v1.44/containers/prune").json["SpaceReclaimed"] == 0
    assert api.container_prune.asked == [("prune", (api.account, {}), {})]
