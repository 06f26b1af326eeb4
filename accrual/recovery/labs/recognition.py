"""Can you tell a dead node from a dead link? Each kind of fault, done to real processes and recognised from outside."""

from __future__ import annotations

from typing import Any, Final

from accrual.lab import Lack, Scene, lab
from accrual.recovery.labs.network import Network, as_root_of_its_own, between, lacking_network
from accrual.recovery.labs.suspicions import Suspicions, check_watching

__all__ = ["recognition"]

_PATIENCE: Final = 10.0  # for a finding, which takes half a second on a quiet machine [s]


def _lacking(**_: Any) -> list[Lack]:
    return lacking_network()


@lab("recognition", lacking=_lacking, limit=60.0, within=as_root_of_its_own)
def recognition(
    scene: Scene, *, nodes: int = 4, period: float = 0.05, threshold: float = 8.0, settle: float = 0.3
) -> dict[str, Any]:
    """Kill a node, cut links in each of four ways, and tell them apart by who suspects whom.

    Parameters
    ----------
    nodes : int
        Number of nodes, 4 to 8: with three, who has lost two links is alone, and no partition is partial.
    period : float
        Sending interval of the heartbeats [s].
    threshold : float
        Phi from which a peer is suspected.
    settle : float
        How long the matrix of suspicions must stand still until it is judged [s].
    """
    if not 4 <= nodes <= 8:
        raise ValueError(f"nodes must be from 4 to 8, got {nodes!r}")
    check_watching(period, threshold, settle)
    half = nodes // 2
    cuts: dict[str, list[tuple[int, int]]] = {
        "node fault": [],
        "link fault": between([0], [1]),
        "one-way": [(0, 1)],
        "partial": between([0], [1]) + between([2], [3]),
        "whole": between(range(half), range(half, nodes)),
    }
    rows = []
    with Network(nodes) as network, Suspicions(scene, network.places, period, threshold, settle) as watch:
        scene.wait_until(watch.ready, _PATIENCE, "heartbeats between all nodes")
        _until(scene, watch, "sound")
        last = network.places[-1].name
        for fault, links in cuts.items():
            at = scene.now()
            scene.tell("network", f"{fault}: {_said(network, links) if links else f'{last} is killed'}")
            if links:
                network.cut(links)
            else:
                watch.kill(last)
            took = _until(scene, watch, fault) - at
            found = watch.recognised
            assert found is not None
            rows.append(
                {
                    "fault": fault,
                    "recognised": found.kind,
                    "after": round(took, 3),
                    "majority": " ".join(map(str, found.majority or ())) or None,
                    "could_be": ", ".join(found.could_be) or None,
                    "suspects": "; ".join(
                        f"{name}: {' '.join(peer for peer, suspected in row.items() if suspected)}"
                        for name, row in watch.judged.items()
                        if any(row.values())
                    ),
                }
            )
            at = scene.now()
            scene.tell("network", "healed" if links else f"{last} is started again")
            network.heal()
            if not links:
                watch.revive(last)
            rows[-1]["sound_again_after"] = round(_until(scene, watch, "sound") - at, 3)
    return {"rows": rows, "facts": {"told_apart": sum(row["fault"] == row["recognised"] for row in rows)}}


def _said(network: Network, links: list[tuple[int, int]]) -> str:
    names = [place.name for place in network.places]
    both = [f"{names[a]}-{names[b]}" for a, b in links if a < b and (b, a) in links]
    single = [f"{names[a]} to {names[b]}" for a, b in links if (b, a) not in links]
    return f"{', '.join(both + single)} cut"


def _until(scene: Scene, watch: Suspicions, kind: str) -> float:
    """Wait until the matrix shows this; the instant."""

    def seen() -> bool:
        found = watch.look()
        return found is not None and found.kind == kind

    scene.wait_until(seen, _PATIENCE, f"the finding '{kind}'")
    return watch.history[-1][0]
