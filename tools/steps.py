"""Contents page of the set-up: which steps there are, and which needs which."""

from __future__ import annotations

import argparse
import platform
import sys

from tools import (
    apprise,
    directus,
    docker_engine,
    host_images,
    host_package,
    machine,
    node,
    object_store,
    paths,
    patroni,
    plugins,
    pulumi_cli,
    venv,
)
from tools.schedule import Step, run_steps

STEPS = (
    Step("debian", "Debian packages", machine.install_programs),
    Step("docker", "Docker engine", docker_engine.ensure, after=("debian",)),
    Step("venv", "Python packages by hash", venv.install),
    Step("pulumi", "Pulumi CLI and Python language host", pulumi_cli.install, after=("venv",)),
    Step("random", "Pulumi plugin random", plugins.install_random),
    Step("node", "Node for hosts and builds", node.install),
    Step("directus", "Directus bundle", directus.install, after=("node",)),
    Step("patroni", "Patroni's wheels", patroni.install, after=("venv",)),
    Step("host-package", "programs of hosts, one wheel", host_package.install, after=("venv",)),
    Step("apprise", "apprise, which tells people", apprise.install, after=("venv",)),
    Step("host-image", "image of a rented host", host_images.install_host, after=("docker",)),
    Step("lab-image", "image of a lab host", host_images.install_lab, after=("venv", "host-image", "directus")),
)

# For `make test` only. Two compilers at once would only wait for each other.
TEST_STEPS = (
    Step("debian-tests", "Debian packages of the tests", machine.install_test_programs, after=("debian",)),
    Step("object-store", "S3 server of the tests", object_store.install, after=("pulumi",)),
)


def main() -> int:
    """Run the steps asked for; 0 when the machine is ready, 1 when a step failed, 2 on bad usage."""
    names = [step.name for step in (*STEPS, *TEST_STEPS)]
    parser = argparse.ArgumentParser(prog="tools/setup", description="Set this machine up for Till.")
    parser.add_argument("--only", help=f"comma-separated steps, without those they need: {','.join(names)}")
    parser.add_argument("--tests", action="store_true", help="what the tests need too (a browser)")
    arguments = parser.parse_args()
    usual = {step.name for step in (*STEPS, *(TEST_STEPS if arguments.tests else ()))}
    only = set(arguments.only.split(",")) if arguments.only else usual
    if unknown := only - set(names):
        parser.error(f"unknown step {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        print(f"tools/setup: Linux on x86-64 is needed, this is {platform.platform()}", file=sys.stderr)
        return 1
    ok = run_steps([step for step in (*STEPS, *TEST_STEPS) if step.name in only], paths.LOGS)
    if not ok:
        print("tools/setup: mend what is named above and run it again; what is done stays done", file=sys.stderr)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
