import socket

import pytest

from streamdesk.console.adapters import ports
from streamdesk.console.domain.services import LOOPBACK
from streamdesk.console.errors import DeskFailedError


def test_a_port_that_a_server_listens_on_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        assert not ports.is_free(taken)
        assert ports.next_free(taken) > taken


def test_a_port_that_no_server_listens_on_is_free() -> None:
    assert ports.is_free(ports.any_free())


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_a_port_taken_on_ipv6_alone_is_not_free_because_browsers_would_go_there() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("IPv6 is off on this machine")
    with server:
        assert not ports.is_free(server.getsockname()[1])


def test_the_search_for_a_free_port_ends_with_a_message_that_says_what_to_do() -> None:
    with pytest.raises(DeskFailedError, match="--port"):
        ports.next_free(65_536)
