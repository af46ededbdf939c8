from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from napari_sam2.training.team import Team

ALONE = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}

MEMBER = """
import json, sys, torch
from napari_sam2.training.team import Team

team = Team()
weight, unused = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(3))
((team.place + 1) * weight).sum().backward()
if team.place == 1:
    unused.grad = torch.full((3,), 4.0)
seconds = team.share([weight, unused], 10.0 * (team.place + 1))
tensors = [torch.full((2,), float(team.place)), torch.tensor(team.place)]
team.follow(tensors)
told = [team.leads, seconds, weight.grad.tolist(), unused.grad.tolist()]
told += [t.tolist() for t in tensors]
open(f"{sys.argv[1]}/{team.place}.json", "w").write(json.dumps(told))
"""


def test_alone_nothing_changes() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.sum().backward()
    team = Team()
    assert team.leads
    assert team.share([weight], 3.0) == 3.0
    assert weight.grad is not None
    assert weight.grad.tolist() == [1, 1]


def test_two_processes_take_the_same_step(tmp_path: Path) -> None:
    script = tmp_path / "member.py"
    script.write_text(MEMBER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(script), str(tmp_path)]
    subprocess.run(command, check=True, env={**ALONE, "OMP_NUM_THREADS": "1"}, timeout=120)
    first, second = (json.loads((tmp_path / f"{place}.json").read_text()) for place in (0, 1))
    assert (first[0], second[0]) == (True, False)
    assert first[1:] == second[1:]
    seconds, weight, unused, followed, number = first[1:]
    assert seconds == 15.0
    assert weight == [[1.5, 1.5], [1.5, 1.5]]
    assert unused == [2.0, 2.0, 2.0]
    assert (followed, number) == ([0.0, 0.0], 0)
