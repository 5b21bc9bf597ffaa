"""What is between the nodes of a cluster that is up: address views and a daemon with the links.

The state file keeps it, so that later commands reach nodes as the first command did, and the last
one removes it. A run's own cluster has a `topology` instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kvsim.errors import KvsimError
from kvsim.network.addresses import DIRECT_VIEWS, AddressViews, NodeAddress
from kvsim.process.environment import ProcessTag
from kvsim.process.identity import Identity, identify
from kvsim.process.ports import reserve
from kvsim.process.termination import stop_tree

SOCKET_NAME = "links"
# In the folder of a cluster that is up.
CONTROL_FOLDER = "control"


class Layout(Struct, frozen=True):
    """How the nodes reach each other. `socket` is the daemon's control socket.

    `daemon` carries the links and runs as long as the cluster; None: there are direct links only.
    """

    views: AddressViews = DIRECT_VIEWS
    daemon: Identity | None = None
    socket: Path = Path()

    def to_json(self) -> dict[str, Any] | None:
        """The entry of the state file."""
        if self.daemon is None:
            return None
        views = {
            viewer: {
                name: {"port": address.port, "ports": dict(address.ports)}
                for name, address in addresses.items()
            }
            for viewer, addresses in self.views.addresses.items()
        }
        return {"daemon": self.daemon.to_json(), "socket": str(self.socket), "views": views}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any] | None, addresses: Sequence[NodeAddress]) -> Layout:
        """`addresses` are the nodes' own. Raises KeyError, ValueError for a malformed entry."""
        if entry is None:
            return DIRECT_LAYOUT
        own = {address.node.name: address for address in addresses}
        views = {
            viewer: {
                name: replace(own[name], **ports) for name, ports in nodes.items() if name in own
            }
            for viewer, nodes in entry["views"].items()
        }
        daemon = Identity.from_json(entry["daemon"])
        return cls(AddressViews(views), daemon, Path(entry["socket"]))

    def remove(self) -> None:
        """End the daemon if it runs, and remove its socket."""
        if self.daemon is not None:
            stop_tree(self.daemon)
            _remove(self.socket)


DIRECT_LAYOUT = Layout()

# (run, the nodes' own addresses, folder for files) -> the layout. It stays when the body succeeds
# and is removed when the body fails.
BuildLayout = Callable[
    [str, Sequence[NodeAddress], Path], contextlib.AbstractContextManager[Layout]
]


def layout_builder(links: str) -> BuildLayout:
    """How to build the layout of a cluster with these `links`.

    Namespaces end with the command that made them, so `netns` is direct here.
    """
    return _proxied_layout if links == "proxied" else direct_layout


@contextlib.contextmanager
def direct_layout(run: str, addresses: Sequence[NodeAddress], folder: Path) -> Iterator[Layout]:
    """Nodes reach each other directly."""
    yield DIRECT_LAYOUT


@contextlib.contextmanager
def _proxied_layout(run: str, addresses: Sequence[NodeAddress], folder: Path) -> Iterator[Layout]:
    """A daemon with a proxy for each link."""
    # Late: most clusters have direct links.
    from kvsim.network.proxy_handle import NewProxyDaemon, build_routes, ports_needed

    own = {port for address in addresses for port in (address.port, *address.ports.values())}
    needed = ports_needed([1 + len(address.ports) for address in addresses])
    with reserve(needed + len(own), addresses[0].host) as reservation:
        free_ports = [port for port in reservation.ports if port not in own]
        routes, views = build_routes(addresses, free_ports)
        socket = _private_folder(folder) / SOCKET_NAME
        links = NewProxyDaemon(routes, f"{run}:links", socket, ProcessTag(run))
    try:
        daemon = identify(links.pid)
        if daemon is None:
            raise KvsimError("the link proxies ended right after their start")
        yield Layout(views, daemon, socket)
        links.detach()
    except BaseException:
        links.close()
        _remove(socket)
        raise


def _private_folder(folder: Path) -> Path:
    """A folder in `folder` that no other user can reach."""
    private = folder.resolve() / CONTROL_FOLDER
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    private.chmod(0o700)
    return private


def _remove(socket: Path) -> None:
    """Remove a control socket and its folder."""
    socket.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        socket.parent.rmdir()
