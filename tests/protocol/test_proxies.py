"""The proxy of an address, from the environment, as curl and requests read it."""

import pytest

from datacrunch_tgi._proxies import environment_proxy, is_excluded

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "excluded"),
    [
        ("example.com", 443, "example.com", True),
        ("api.example.com", 443, "example.com", True),
        ("api.example.com", 443, ".example.com", True),
        ("api.example.com", 443, "*.example.com", True),
        ("badexample.com", 443, "example.com", False),
        ("example.com.", 443, "EXAMPLE.COM", True),
        ("example.com", 443, "other, example.com", True),
        ("example.com", 443, "other example.com", True),
        ("example.com", 8080, "example.com:8080", True),
        ("example.com", 443, "example.com:8080", False),
        ("example.com", 443, "*", True),
        ("example.com", 443, "", False),
        ("127.0.0.1", 80, "127.0.0.0/8", True),
        ("10.1.2.3", 80, "10.0.0.0/8", True),
        ("11.1.2.3", 80, "10.0.0.0/8", False),
        ("10.1.2.3", 80, "10.1.2.3", True),
        ("10.1.2.3", 80, "10.1.2.3:80", True),
        ("10.1.2.3", 81, "10.1.2.3:80", False),
        ("10.1.2.3", 80, "2.3", False),
        ("::1", 80, "::1", True),
        ("::1", 80, "[::1]", True),
        ("::1", 80, "[::1]:80", True),
        ("::1", 81, "[::1]:80", False),
        ("fd00::5", 80, "fd00::/8", True),
        ("fe80::5", 80, "fd00::/8", False),
        ("localhost", 80, "localhost,127.0.0.0/8,::1", True),
    ],
)
def test_no_proxy_excludes_names_addresses_networks_and_ports(
    host: str, port: int, no_proxy: str, *, excluded: bool
) -> None:
    """NO_PROXY excludes names, addresses, networks and ports."""
    assert is_excluded(host, port, no_proxy) is excluded


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"HTTPS_PROXY": PROXY}, ("HTTPS_PROXY", PROXY)),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, ("https_proxy", PROXY)),
        ({"HTTPS_PROXY": "proxy:3128"}, ("HTTPS_PROXY", PROXY)),
        ({"ALL_PROXY": "socks5://proxy"}, ("ALL_PROXY", "socks5://proxy")),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "host"}, None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "", "NO_PROXY": "host"}, None),
        ({}, None),
    ],
)
def test_the_variable_of_the_scheme_names_the_proxy(
    variables: dict[str, str], found: tuple[str, str] | None
) -> None:
    """Lower case takes precedence, ALL_PROXY comes last."""
    assert environment_proxy("https://host", variables) == found
