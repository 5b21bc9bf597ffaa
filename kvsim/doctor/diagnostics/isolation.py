"""Which faults can be injected: the preloaded library, and a network namespace for each node."""

from __future__ import annotations

from kvsim.doctor.program_under_test import ProgramUnderTest
from kvsim.doctor.registry import Diagnosis, diagnostic, ok, skipped, warning
from kvsim.errors import NodeFailed
from kvsim.faults.preload.build import NotBuilt
from kvsim.network.netns.router_handle import NoNetwork


@diagnostic("Can faults of its disk and its clock be injected?", order=180)
def disk_and_clock_faults(program: ProgramUnderTest) -> Diagnosis:
    try:
        with program.start(preload=True) as running:
            node, control = running.node, running.control
            assert control is not None, "the program was started with the library"
            tree = node.tree()
            obstacle = control.why_unreachable(tree, node.data)
    except NotBuilt as error:
        return skipped(str(error))
    if obstacle is None:
        return ok("the library for these faults can be loaded into it")
    return skipped(
        f"{obstacle}; of these faults it can have a full disk only: leave slow and failing disks "
        "and clocks out of its scenarios"
    )


@diagnostic("Can faults of its links be injected per packet (`links: netns`)?", order=190)
def network_namespace(program: ProgramUnderTest) -> Diagnosis:
    try:
        with program.start(network=True) as running:
            network = running.network
            assert network is not None, "the program was started in a namespace"
            obstacle = network.cannot_delay
    except NoNetwork as error:
        return skipped(str(error))
    except NodeFailed as raised:
        first_line = str(raised).splitlines()[0].partition("; last lines")[0]
        spec = program.spec
        if not any("{host}" in str(part) for part in (spec.start, spec.env, spec.files)):
            return skipped("its `start` passes no `{host}`, which `links: netns` needs")
        return warning(
            f"at its own address {first_line}",
            "it cannot run in its own network namespace, so that `links: netns` is impossible",
            "use `{host}` in `start`, and listen there",
        )
    if obstacle:
        return ok(
            "it serves at its own address; delay, bandwidth and stall are impossible here: "
            f"{obstacle}"
        )
    return ok("it serves at its own address")
