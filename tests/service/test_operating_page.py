"""OPERATING.md: its metrics are the service's own, and its Kubernetes objects fit together."""

import re

import yaml  # type: ignore[import-untyped] # comes with Dask
from prometheus_client import generate_latest

from photoanimer_async.service import ServiceSettings
from photoanimer_async.service.http.metrics import Metrics

from ..support.pages import page

PAGE = page("service/OPERATING.md")


def test_the_page_lists_the_metrics_of_the_service() -> None:
    shown = generate_latest(Metrics().registry).decode()
    names = set(re.findall(r"^# TYPE (photoanimer_\w+)", shown, flags=re.MULTILINE))
    listed = set(re.findall(r"`(photoanimer_[a-z_]+)`", PAGE.text))
    assert listed == {name for name in names if not name.endswith("_created")}


def test_the_kubernetes_objects_fit_together() -> None:
    objects = list(yaml.safe_load_all(PAGE.block("yaml", "StatefulSet").text))
    commands_on_the_page = PAGE.block("sh", "dask worker").text
    services = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "Service"}
    pods = [one["spec"] for one in objects if one["kind"] != "Service"]
    commands = [pod["template"]["spec"]["containers"][0]["args"] for pod in pods]
    for pod in pods:
        assert pod["selector"]["matchLabels"] == pod["template"]["metadata"]["labels"]
    for command in commands:
        assert " ".join(command[:2]) in commands_on_the_page
        assert all(isinstance(word, str) for word in command)
    for name, address in (("scheduler", "tcp://scheduler:8786"), ("animer", "--host 0.0.0.0")):
        assert {"app": name} == services[name]["selector"]
        assert any(address in " ".join(command) for command in commands)
    assert services["scheduler"]["ports"] == [{"port": 8786}]
    assert services["animer"]["ports"] == [{"port": ServiceSettings(data_dir="data").port}]
