"""The clients of commands: their proxies."""

import pytest

from ..support.command_line import CommandLine
from ..support.proxy_server import ProxyServer


def test_a_proxy_is_used_by_option(connected: CommandLine, proxy: ProxyServer) -> None:
    assert connected("balance", "--proxy", proxy.url).returncode == 0
    done = connected("balance", "--proxy", proxy.url_with_wrong_password)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the proxy does not accept its user or password" in done.stderr
    assert "wr0ng" not in done.stderr


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_is_used_by_the_environment(
    connected: CommandLine, proxy: ProxyServer, name: str
) -> None:
    connected.environment[name] = proxy.url_with_wrong_password
    assert "the proxy does not accept" in connected("balance").stderr
    assert connected("balance", "--proxy", proxy.url).returncode == 0
    connected.environment["no_proxy"] = "127.0.0.1"
    assert connected("balance").returncode == 0


def test_a_proxy_is_repeated_in_the_next_command_without_its_password(
    connected: CommandLine, proxy: ProxyServer
) -> None:
    done = connected("wait", "1", "--proxy", proxy.url_with_wrong_password)
    assert done.returncode == 1
    assert "wr0ng" not in done.stdout + done.stderr
    done = connected("balance", "--proxy", "socks5://anna:pw@127.0.0.1:1")
    assert done.returncode == 2
    assert "proxy must be an http or https URL, not socks5://127.0.0.1:1" in done.stderr
