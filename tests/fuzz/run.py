"""Fuzz what reads strangers' files, and the public calls: python tests/fuzz/run.py [TARGET ...] [--seconds 30]

Each target runs in a process of its own, guided by the coverage of the package's Python code (atheris, a form of
libFuzzer; `pip install atheris`). It begins from the seeds that targets.py makes. A finding (an error that is not
documented, a crash, over 10 s, over 3 GB) ends it; the input is kept in --findings, and `--replay FILE` runs it alone.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
MOST_SECONDS, MOST_MB = 10, 3000  # of one input


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz what reads strangers' files, and the public calls.")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=30, help="of each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz_findings"), help="folder for inputs that fail")
    parser.add_argument("--replay", type=Path, help="run this input alone")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given, rest = parser.parse_known_args()
    if given.inside:
        _fuzz(given.targets[0], rest)
        return 0
    from targets import TARGETS

    unknown = set(given.targets) - set(TARGETS)
    if unknown or rest:
        parser.error(f"a target is one of {', '.join(TARGETS)}, got {', '.join([*unknown, *rest])}")
    if given.replay:
        for name in given.targets:
            TARGETS[name].run(given.replay.read_bytes())
        return 0
    failed = []
    for name in given.targets or TARGETS:
        with tempfile.TemporaryDirectory() as corpus:
            for seed in TARGETS[name].seeds():
                (Path(corpus) / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
            given.findings.mkdir(parents=True, exist_ok=True)
            options = [
                corpus, f"-max_total_time={given.seconds}", f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MB}",
                f"-seed={given.seed}", f"-artifact_prefix={given.findings}/{name}-", "-print_final_stats=1",
                "-max_len=20000", "-verbosity=0",
            ]  # fmt: skip
            command = [sys.executable, __file__, name, "--inside", *options]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        print(f"{name}: {executed[1] if executed else 'unknown'} executions, ends with {done.returncode}", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout[-2000:], done.stderr[-6000:], sep="\n", flush=True)
    return 1 if failed else 0


def _fuzz(name: str, options: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["esam_fast"]):
        import targets

    import numpy as np

    target = targets.TARGETS[name]

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        if target.mutate is None or rng.integers(4) == 0:
            return bytes(atheris.Mutate(data, most))
        return target.mutate(data, rng)[:most]

    atheris.Setup([sys.argv[0], *options], target.run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
